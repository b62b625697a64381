"""Arms over their seeds: what `results.json` and `arms.csv` say of each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cnn_jax.sweep.arms import arms_of, summary, value_at

SEEDS = 5
TRUE = {("A", 0.1): 0.30, ("A", 0.2): 0.34, ("B", 0.1): 0.31}


def cells(spread: float = 0.004) -> list[dict]:
    made = []
    for number, ((arm, rate), error) in enumerate(TRUE.items()):
        draws = np.random.default_rng(number).normal(error, spread, SEEDS)
        made += [
            {
                "settings": {"arm": arm, "optimizer.learning_rate": rate, "model.depth": 8, "seed": seed},
                "seed": seed,
                "id": f"{arm}{rate}{seed}",
                "params": 100,
                "macs": 1000,
                "receptive_field": 5,
                "test_error": float(draw),
                "validation_error": 0.9,
            }
            for seed, draw in enumerate(draws)
        ]
    return made


def errors(arm: str, rate: float) -> np.ndarray:
    chosen = [c for c in cells() if c["settings"]["arm"] == arm and c["settings"]["optimizer.learning_rate"] == rate]
    return np.array([cell["test_error"] for cell in chosen])


def test_a_name_that_several_arms_bear_is_told_with_what_sets_them_apart():
    labels = [arm.label for arm in arms_of(cells(), "test")]
    assert labels == ["A, learning_rate=0.1", "B", "A, learning_rate=0.2"]


def test_a_row_has_both_intervals_and_the_paired_difference_from_the_best():
    first, second, third = summary(cells())
    own, best = errors("A", 0.2), errors("A", 0.1)
    assert (first["label"], first["difference"], first["separated"]) == ("A, learning_rate=0.1", None, None)
    assert third["settings"] == {"arm": "A", "optimizer.learning_rate": 0.2, "model.depth": 8}
    assert (third["split"], third["n"], third["params"], third["macs"]) == ("test", SEEDS, 100, 1000)
    assert third["error"] == pytest.approx(own.mean())
    t = stats.t.interval(0.95, SEEDS - 1, own.mean(), stats.sem(own))
    assert (third["error_lo"], third["error_hi"]) == pytest.approx(t)
    assert own.min() <= third["bootstrap_lo"] < own.mean() < third["bootstrap_hi"] <= own.max()
    gaps = own - best
    t = stats.t.interval(1 - 0.05 / 2, SEEDS - 1, gaps.mean(), stats.sem(gaps))
    assert third["difference"] == pytest.approx(gaps.mean())
    assert (third["difference_lo"], third["difference_hi"]) == pytest.approx(t)
    assert third["separated"]
    assert third["seeds_needed"] is None
    unbiased = 1 - 3 / (4 * (SEEDS - 1) - 1)  # Hedges's approximation of his factor
    assert third["effect_size"] == pytest.approx(unbiased * gaps.mean() / gaps.std(ddof=1), rel=0.01)
    assert not second["separated"]
    assert second["seeds_needed"] > SEEDS


def test_as_many_seeds_as_are_said_to_be_needed_separate_what_was_found():
    """Were the spread of the differences as found, the interval of so many seeds would exclude zero, on average."""
    second = summary(cells())[1]
    gaps = errors("B", 0.1) - errors("A", 0.1)
    n = second["seeds_needed"]
    half = stats.t.ppf(1 - 0.05 / 4, n - 1) * gaps.std(ddof=1) / np.sqrt(n)
    assert half < abs(gaps.mean())


def test_arms_without_results_have_a_row_without_numbers():
    every = cells()
    for cell in every:
        if cell["settings"]["arm"] == "B":
            cell["test_error"] = None
    last = summary(every)[-1]
    assert (last["label"], last["n"], last["error"], last["difference"]) == ("B", 0, None, None)
    assert summary([]) == []


def test_one_seed_has_neither_interval_nor_verdict():
    first, second, _ = summary([cell for cell in cells() if cell["seed"] == 0])
    assert (first["error_lo"], first["bootstrap_lo"]) == (None, None)
    assert (second["separated"], second["effect_size"], second["seeds_needed"]) == (False, None, None)


def test_what_an_arm_does_not_set_is_the_default():
    assert value_at({"model.norm": None}, "model.norm") == "None"
    assert value_at({"model.features": [4, 8]}, "model.features") == "(4, 8)"
    assert value_at({}, "model.norm") == "default"
