"""How often a network is right: top-1 and top-5, each class, what is taken for what, and with which interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.evaluate.answers import Answers
from cnn_jax.evaluate.images import class_name

CONFIDENCE = 0.95


def top_k_accuracy(answers: Answers, k: int = 1) -> float:
    """Share of the examples whose true class is among the k likeliest; a tie counts against the network."""
    return float(np.mean(answers.rank < k))


def accuracy_interval(answers: Answers) -> tuple[float, float]:
    """95% interval of the accuracy over examples drawn like these (Wilson 1927, the score interval)."""
    from scipy.stats import binomtest  # a second, of no use to those who only predict

    found = binomtest(int(answers.right.sum()), len(answers)).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def confusion_matrix(answers: Answers) -> np.ndarray:
    """int `[K, K]`: how many examples of the class of the row were taken for that of the column."""
    classes = answers.log_probability.shape[1]
    flat = answers.label * classes + answers.prediction
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def per_class(answers: Answers, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Accuracy and `n` of each class that has examples, in the order of the labels."""
    right, rows = answers.right, []
    for label, name in enumerate(classes):
        members = answers.label == label
        if members.any():
            rows.append({"class": name, "n": int(members.sum()), "accuracy": float(right[members].mean())})
    return rows


def most_confused(matrix: np.ndarray, classes: Sequence[str], limit: int = 10) -> list[dict[str, Any]]:
    """The pairs of classes that are confused most often, as `{"class", "taken_for", "count"}`."""
    off = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    order = np.argsort(-off, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(i), len(matrix)) for i in order]
    return [
        {"class": class_name(classes, a), "taken_for": class_name(classes, b), "count": int(off[a, b])}
        for a, b in pairs
        if off[a, b]
    ]
