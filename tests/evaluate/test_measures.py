"""Measures against examples worked out by hand, and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from cnn_jax.evaluate import Answers, accuracy, calibration, mistakes, paired


def answers(*rows: tuple[int, list[float]]) -> Answers:
    label, chances = zip(*rows, strict=True)
    with np.errstate(divide="ignore"):
        return Answers(np.array(label), np.log(np.array(chances)).astype(np.float32))


FOUR = answers(
    (0, [0.7, 0.2, 0.1]),  # right
    (1, [0.6, 0.3, 0.1]),  # wrong, second
    (2, [0.1, 0.1, 0.8]),  # right
    (2, [0.5, 0.5, 0.0]),  # wrong, and impossible as the network has it
)


def test_ranks_and_accuracy():
    assert FOUR.rank.tolist() == [0, 1, 0, 2]
    assert FOUR.right.tolist() == [True, False, True, False]
    assert accuracy.top_k_accuracy(FOUR) == 0.5
    assert accuracy.top_k_accuracy(FOUR, 2) == 0.75
    assert accuracy.top_k_accuracy(FOUR, 5) == 1
    tie = answers((0, [0.5, 0.5]), (1, [0.5, 0.5]))
    assert accuracy.top_k_accuracy(tie) == 0


def test_interval_is_wilsons():
    lo, hi = accuracy.accuracy_interval(FOUR)
    z, n, p = 1.959963984540054, 4, 0.5
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z / (1 + z**2 / n) * math.sqrt(p / n / 2 + z**2 / (4 * n * n))
    assert (lo, hi) == pytest.approx((centre - half, centre + half))


def test_confusion_and_classes():
    matrix = accuracy.confusion_matrix(FOUR)
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 1]]
    assert accuracy.per_class(FOUR, "abc") == [
        {"class": "a", "n": 1, "accuracy": 1.0},
        {"class": "b", "n": 1, "accuracy": 0.0},
        {"class": "c", "n": 2, "accuracy": 0.5},
    ]
    assert accuracy.most_confused(matrix, "ab") == [
        {"class": "b", "taken_for": "a", "count": 1},
        {"class": "output 2", "taken_for": "a", "count": 1},
    ]


def test_calibration_by_hand():
    """Five bins: 0.2 is the top of the first, 0.9 and 1.0 are in the last."""
    confidence, right = np.array([0.2, 0.25, 0.9, 1.0, 0.95]), np.array([True, False, True, False, True])
    diagram = calibration.reliability(confidence, right, bins=5)
    assert [bar.n for bar in diagram] == [1, 1, 0, 0, 3]
    assert diagram[2].accuracy is None
    assert diagram[4].accuracy == pytest.approx(2 / 3)
    # 1/5 * |1 - 0.2| + 1/5 * |0 - 0.25| + 3/5 * |2/3 - 0.95|
    assert calibration.expected_calibration_error(diagram) == pytest.approx(0.16 + 0.05 + 0.17)
    assert sum(bar.n for bar in calibration.reliability(np.array([0.0, 1.0]), np.array([True, True]))) == 2
    assert len(calibration.reliability(confidence, right)) == 15


def test_likelihood_and_brier():
    three = answers((0, [0.7, 0.2, 0.1]), (1, [0.6, 0.3, 0.1]))
    assert calibration.negative_log_likelihood(three) == pytest.approx(-(math.log(0.7) + math.log(0.3)) / 2)
    brier = ((0.3**2 + 0.2**2 + 0.1**2) + (0.6**2 + 0.7**2 + 0.1**2)) / 2
    assert calibration.brier_score(three) == pytest.approx(brier)
    assert calibration.brier_score(answers((0, [0.0, 1.0]))) == pytest.approx(2)


def test_mistakes_in_order():
    many = answers((0, [0.1, 0.9]), (1, [0.2, 0.8]), (0, [0.3, 0.7]), (1, [0.99, 0.01]))
    assert mistakes.most_confident_errors(many).tolist() == [3, 0, 2]
    assert mistakes.most_confident_errors(many, 1).tolist() == [3]
    assert mistakes.worst(many, 3).tolist() == [3, 0, 2]
    [row] = mistakes.described(many, np.array([3]), ("ham", "egg"), lambda i: f"image {i}")
    assert row.pop("probability") == pytest.approx(0.99)
    assert row.pop("true_probability") == pytest.approx(0.01)
    assert row == {"index": 3, "name": "image 3", "class": "egg", "prediction": "ham"}


def test_mcnemar_by_hand():
    """Eight disagreements, seven of them a's: p is twice the binomial tail."""
    a = np.array([True] * 90 + [True] * 7 + [False] * 1 + [False] * 2)
    b = np.array([True] * 90 + [False] * 7 + [True] * 1 + [False] * 2)
    found = paired(a, b)
    assert found[:5] == (100, 90, 7, 1, 2)
    assert found.difference == pytest.approx(0.06)
    assert found.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    # Bonett and Price: (8 - 2) / 102 and its standard error.
    p, q = 8 / 102, 2 / 102
    half = 1.959963984540054 * math.sqrt((p + q - (p - q) ** 2) / 102)
    assert (found.lo, found.hi) == pytest.approx((p - q - half, p - q + half))
    mirrored = paired(b, a)
    assert (mirrored.lo, mirrored.hi) == pytest.approx((-found.hi, -found.lo))
    assert paired(a, a).p_value == 1
    assert not paired(a, a).separated


def test_the_interval_covers():
    """Exact coverage at n = 60 by summing the trinomial: at least 93% at 95% nominal."""
    n, only_a, only_b = 60, 0.12, 0.05
    covered = 0.0
    for i in range(30):
        for j in range(30):
            chance = binom.pmf(i, n, only_a) * binom.pmf(j, n - i, only_b / (1 - only_a))
            right_a = np.arange(n) < i
            right_b = (np.arange(n) >= i) & (np.arange(n) < i + j)
            if chance > 1e-6:
                found = paired(right_a, right_b)
                covered += chance * (found.lo <= only_a - only_b <= found.hi)
    assert 0.93 < covered < 0.99
