"""Which arm is lower: against SciPy's paired t test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cnn_jax.sweep.claims import NOT_REPRODUCED, NOT_SEPARATED, REPRODUCED, Finding
from cnn_jax.sweep.order import all_of, best_of, by_seed, judge_order


def results(**arms: list[float]) -> pd.DataFrame:
    rows = [
        {"arm": arm, "seed": seed, "test_error": error / 100, "steps_to": 10 * error}
        for arm, errors in arms.items()
        for seed, error in enumerate(errors)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


A = [10.0, 11.0, 10.5, 10.2, 10.8]
B = [12.0, 12.6, 12.9, 12.1, 12.4]
NOISY = [9.0, 14.0, 8.0, 13.0, 11.0]


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([("a", "b")], REPRODUCED),
        ([("b", "a")], NOT_REPRODUCED),
        ([("a", "noisy")], NOT_SEPARATED),
        ([("a", "b"), ("a", "noisy")], NOT_SEPARATED),
        ([("b", "a"), ("a", "noisy")], NOT_REPRODUCED),
    ],
)
def test_verdicts(pairs, verdict):
    found = judge_order(results(a=A, b=B, noisy=NOISY), pairs)
    assert found.verdict == verdict
    assert [row.holds for row in found.compared] == [pair == ("a", "b") for pair in pairs]


def test_values_are_paired_by_seed_and_shares_are_percent():
    frame = results(a=A, b=B)
    assert by_seed(frame, "a") == pytest.approx(A)
    assert by_seed(frame, "b", "steps_to") == pytest.approx(10 * np.array(B))
    found = judge_order(frame, [("a", "b")])
    assert found.compared[0].measured == pytest.approx(np.mean(A) - np.mean(B))
    assert "a 10.5 ± 0.51, b 12.4 ± 0.46" in found.says


@pytest.mark.parametrize("count", [1, 2, 5])
def test_of_many_pairs_each_has_to_be_surer(count):
    """The verdict changes where the p value of SciPy's test, times the number of pairs, passes 5%."""
    shifts = np.linspace(0.05, 2, 60)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.5, 5)
    verdicts, expected = [], []
    for shift in shifts:
        frame = results(a=A, **{f"b{i}": list(np.array(A) + shift + noise) for i in range(count)})
        verdicts.append(judge_order(frame, [("a", f"b{i}") for i in range(count)]).verdict == REPRODUCED)
        difference = -(shift + noise)
        expected.append(stats.ttest_1samp(difference, 0)[1] * count < 0.05 and difference.mean() < 0)
    assert verdicts == expected
    assert len({*verdicts}) == 2


def test_the_best_rate_is_chosen_by_the_mean_and_one_that_diverged_is_not():
    losses = {("a", 0.1): [1.0, 3.0], ("a", 0.2): [1.5, 1.9], ("b", 0.1): [4.0, 4.2], ("b", 0.2): [0.1, float("nan")]}
    rows = [
        {"arm": arm, "rate": rate, "seed": seed, "validation_loss": loss}
        for (arm, rate), values in losses.items()
        for seed, loss in enumerate(values)
    ]
    best = best_of(pd.DataFrame(rows), "rate")
    assert list(zip(best.arm, best.rate, strict=True)) == [("a", 0.2)] * 2 + [("b", 0.1)] * 2


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((REPRODUCED, REPRODUCED), REPRODUCED),
        ((REPRODUCED, NOT_SEPARATED), NOT_SEPARATED),
        ((NOT_SEPARATED, NOT_REPRODUCED, REPRODUCED), NOT_REPRODUCED),
    ],
)
def test_a_claim_of_parts_holds_if_all_do(verdicts, expected):
    whole = all_of(*(Finding(verdict, verdict, ()) for verdict in verdicts))
    assert whole == Finding(expected, "; ".join(verdicts), ())


def test_arms_beside_are_told_and_decide_nothing():
    alone, with_others = (judge_order(results(a=A, b=B, noisy=NOISY), [("a", "b")], beside=b) for b in ((), ("noisy",)))
    assert with_others.says == f"{alone.says}, noisy 11 ± 3.2"
    assert with_others._replace(says="") == alone._replace(says="")
