"""Whether a network's probabilities mean what they say.

Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2: among the examples that a network is 80% sure
of, 80% should be right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnn_jax.evaluate.answers import Answers

BINS = 15


class Bin(NamedTuple):
    """One bar of a reliability diagram: the examples whose confidence lies in `lo < confidence <= hi`.

    Attributes:
        lo: lower edge, left out.
        hi: upper edge, included.
        n: examples.
        confidence: their mean confidence; None without examples.
        accuracy: the share of them that is right; None without examples.
    """

    lo: float
    hi: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """The data of a reliability diagram, bins of equal width (Guo et al. 2017, section 2).

    Args:
        confidence: float `[N]`, the probability of the predicted class.
        right: bool `[N]`, whether it is the true one.
        bins: how many.
    """
    # The first bin holds 0 as well, so that every example is in one.
    number = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(int)
    found = []
    for i in range(bins):
        members = number == i
        n = int(members.sum())
        means = (float(confidence[members].mean()), float(right[members].mean())) if n else (None, None)
        found.append(Bin(i / bins, (i + 1) / bins, n, *means))
    return found


def expected_calibration_error(diagram: list[Bin]) -> float:
    """ECE: the distance of accuracy and confidence, averaged over the bins by their examples (equation 3)."""
    total = sum(bar.n for bar in diagram)
    gaps = [bar.n * abs(bar.accuracy - bar.confidence) for bar in diagram if bar.accuracy is not None]  # type: ignore[operator]
    return sum(gaps) / total


def negative_log_likelihood(answers: Answers) -> float:
    """Mean of minus the natural logarithm of the true class's probability, in nats."""
    true = np.take_along_axis(answers.log_probability, answers.label[:, None], axis=1)
    return float(-true.mean(dtype=np.float64))


def brier_score(answers: Answers) -> float:
    """Mean squared distance of the probabilities from the truth, summed over the classes: 0 to 2 (Brier 1950)."""
    # |p - e|^2 = |p|^2 - 2 p_true + 1, without a matrix of truths.
    chance = answers.probability
    true = np.take_along_axis(chance, answers.label[:, None], axis=1)[:, 0]
    return float(np.mean(np.einsum("nk,nk->n", chance, chance) - 2 * true + 1))
