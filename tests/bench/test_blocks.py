"""Statistics of interleaved blocks."""

from __future__ import annotations

import json
import math

import pytest

from cnn_jax.bench.blocks import geometric_mean, interleave, ratios, spread
from cnn_jax.bench.result import Result, Target


def test_blocks_alternate_and_are_handed_over_round_by_round():
    order, seen = [], []

    def side(name: str, seconds: float):
        return lambda: order.append(name) or seconds

    sides = {"ours": side("A", 2.0), "F": side("B", 3.0), "K": side("C", 5.0)}
    found = interleave(sides, 3, lambda seconds: seen.append({k: list(v) for k, v in seconds.items()}), settle=0)
    assert "".join(order) == "ABCABCABC"
    assert found == {"ours": [2.0] * 3, "F": [3.0] * 3, "K": [5.0] * 3}
    assert [len(round["K"]) for round in seen] == [1, 2, 3]


def test_a_run_that_is_cut_short_keeps_the_rounds_it_had():
    kept, calls = [], iter([1.0, 1.0, KeyboardInterrupt()])

    def side() -> float:
        value = next(calls)
        if isinstance(value, BaseException):
            raise value
        return value

    with pytest.raises(KeyboardInterrupt):
        interleave({"ours": side}, 9, lambda seconds: kept.append(list(seconds["ours"])), settle=0)
    assert kept == [[1.0], [1.0, 1.0]]


def test_spread_and_means():
    assert spread([3.0, 1.0, 2.0, 10.0]) == (2.5, 1.0, 10.0)
    assert spread([]) is None
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert ratios([2.0, 3.0, 9.0], [1.0, 2.0]) == [2.0, 1.5]  # a block that only one side has yet is left out


def test_the_mean_does_not_depend_on_which_side_is_above():
    values = [0.5, 3.0, 1.7]
    assert geometric_mean(values) == pytest.approx(1 / geometric_mean([1 / v for v in values]))


def test_a_summary_is_the_mean_over_cases_round_by_round():
    result = Result({"id": "X"}, (Target("F", 1.5, 3), Target("K", 1.5, 3), Target("", None, 100, "images_per_second")))
    result.row("a", "F", ours=[1.0, 1.0, 1.0], theirs=[2.0, 4.0, 3.0], images=50)
    result.row("b", "F", ours=[1.0, 2.0], theirs=[8.0, 18.0])
    flax, keras, rate = result.summary()
    assert flax["cases"] == 2
    assert flax["value"] == {"median": 5.0, "low": 4.0, "high": 6.0}  # sqrt(2 x 8) and sqrt(4 x 9)
    assert flax["reached"] == "goal"
    assert keras["value"] is None
    assert keras["reached"] is None
    assert rate["value"]["median"] == 50.0
    assert rate["reached"] == "floor"


def test_sides_that_do_different_amounts_of_work_are_compared_per_unit():
    row = Result({}, ()).row("a", "scan", ours=[4.0], theirs=[10.0], ours_work=8, theirs_work=2)
    assert row.ratios() == pytest.approx([10.0])  # half a second a step here, five there


def test_seconds_are_better_when_fewer():
    result = Result({}, (Target("", 6, 5, "seconds"),))
    row = result.row("a", "")
    for seconds, reached in ((4.0, "goal"), (5.5, "floor"), (7.0, "below")):
        row.figures["seconds"] = [seconds]
        assert result.summary()[0]["reached"] == reached


def test_what_is_written_is_json_and_says_what_is_missing():
    kept = []
    result = Result({"id": "X", "device": "cpu"}, (Target("F", 1, None),), kept.append)
    result.row("a", "F")
    result.save()
    result.row("b", "F", ours=[1.0], theirs=[math.pi])
    result.absent["K"] = "not installed"
    result.save()
    first, second = json.loads(json.dumps(kept))
    assert first["rows"][0]["ratio"] is None
    assert not first["complete"]
    assert second["rows"][1]["ratios"] == [3.1416]
    assert second["absent"] == {"K": "not installed"}
