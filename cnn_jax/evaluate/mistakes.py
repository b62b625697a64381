"""Which examples a network gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnn_jax.evaluate.answers import Answers
from cnn_jax.evaluate.images import class_name

LISTED = 25


def most_confident_errors(answers: Answers, limit: int = LISTED) -> np.ndarray:
    """int `[<= limit]`: the wrong answers that the network was surest of, surest first."""
    wrong = np.flatnonzero(~answers.right)
    sureness = answers.log_probability.max(axis=1)[wrong]
    return wrong[np.argsort(-sureness, kind="stable")][:limit]


def worst(answers: Answers, limit: int = LISTED) -> np.ndarray:
    """int `[<= limit]`: the examples whose true class got the lowest probability, lowest first."""
    true = np.take_along_axis(answers.log_probability, answers.label[:, None], axis=1)[:, 0]
    return np.argsort(true, kind="stable")[:limit]


def described(
    answers: Answers, index: np.ndarray, classes: Sequence[str], name: Callable[[int], str]
) -> list[dict[str, Any]]:
    """Examples as JSON: `index`, `name`, true `class`, `prediction`, and the probabilities of both.

    Args:
        answers: of the whole split.
        index: which examples.
        classes: names of the classes.
        name: index -> what the example is called, its file where it has one.
    """
    rows, prediction = [], answers.prediction
    for i in index.tolist():
        label, said = int(answers.label[i]), int(prediction[i])
        chance = np.exp(answers.log_probability[i, [said, label]].astype(np.float64))
        rows.append(
            {
                "index": i,
                "name": name(i),
                "class": classes[label],
                "prediction": class_name(classes, said),
                "probability": float(chance[0]),
                "true_probability": float(chance[1]),
            }
        )
    return rows
