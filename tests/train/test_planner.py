"""The choice of a way: the fastest for this length, measured only where that can pay, and remembered."""

from __future__ import annotations

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.train import planner
from cnn_jax.train.planner import Measured, make_plan


@pytest.fixture
def costs(monkeypatch, tmp_path):
    """Compile and step seconds of each way, in place of measurements; and which were asked for."""
    monkeypatch.setenv("CNN_JAX_CACHE", str(tmp_path))
    table = {
        "calls": (1.0, 0.010),
        "map": (1.0, 0.012),
        "vmap of products": (2.0, 0.004),
        "copies": (8.0, 0.002),
        "vmap": (2.0, 1.0),
    }
    asked = []
    monkeypatch.setattr(planner, "WAYS", {name: lambda step, donated, name=name: name for name in table})

    def measure(many, *rest, **more):
        asked.append(many)
        return Measured(*table[many]), many

    monkeypatch.setattr(planner, "_measure", measure)
    return asked


def plan(steps, identity=("net",)):
    return make_plan(lambda *a: None, [jnp.zeros(1)] * 8, None, steps=steps, max_steps=10, identity=list(identity))


def test_a_short_training_measures_nothing_but_the_first(costs):
    found, many = plan(100)
    assert (found.way, many) == ("calls", "calls")
    assert costs == ["calls"]
    assert set(found.skipped) == {"map", "vmap of products", "copies", "vmap"}
    assert "not tried" in str(found)


def test_a_long_training_takes_the_fastest(costs):
    found, _ = plan(100_000)
    assert found.way == "copies"
    assert len(costs) == 5
    assert "8 members together by copies: 0.25 ms" in str(found)


def test_between_them_compilation_counts(costs):
    found, _ = plan(2_000)  # 2 + 8 s against 1 + 20 s; copies would compile for longer than they save
    assert found.way == "vmap of products"
    assert "copies" in found.skipped


def test_measurements_are_remembered_and_not_decisions(costs):
    plan(100_000)
    costs.clear()
    found, _ = plan(100)
    assert costs == []
    assert found.way == "calls"
    plan(100, identity=("another net",))
    assert costs == ["calls"]


def test_what_cannot_be_read_is_measured_again(costs, tmp_path):
    plan(100)
    (file,) = (tmp_path / "plans").iterdir()
    file.write_text("{")
    costs.clear()
    assert plan(100)[0].way == "calls"
    assert costs == ["calls"]


def test_a_real_measurement():
    step = lambda state, data, n: (state * jnp.float32(2) + data.sum() * n,)  # noqa: E731
    for name in ("calls", "map", "vmap"):
        measured, many = planner._measure(planner.WAYS[name](step, (0,)), [jnp.ones(3), jnp.zeros(3)], jnp.ones(2), 4)
        assert 0 < measured.step_seconds < 10
        assert measured.total(3) == measured.compile_seconds + 3 * measured.step_seconds
        (one,), (other,) = many([jnp.ones(3), jnp.zeros(3)], jnp.ones(2), np.int32(1))
        np.testing.assert_array_equal(one, [4, 4, 4])
        np.testing.assert_array_equal(other, [2, 2, 2])


def test_what_does_not_fit_is_never_chosen(monkeypatch):
    monkeypatch.setattr(planner, "free_memory", lambda device: 1)
    step = lambda state, data, n: (state + data.sum() * n,)  # noqa: E731
    measured, _ = planner._measure(planner.WAYS["vmap"](step, (0,)), [jnp.ones(3)] * 2, jnp.ones(2), 4)
    assert measured.step_seconds == float("inf")


def test_of_members_that_take_turns_those_of_one_turn_are_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    computed = []

    def way(step, donated):
        def many(members, data, num_steps):
            computed.append(len(members))
            time.sleep(0.02 * len(members) * int(num_steps))
            return members

        return many

    monkeypatch.setattr(planner, "WAYS", {"calls": way})
    monkeypatch.setattr(planner, "_ORDER", {"cpu": ("calls",)})
    members = [jnp.ones(3)] * 8
    found, _ = make_plan(lambda *a: None, members, None, steps=100, max_steps=4, identity=["net"])
    assert set(computed) == {2}
    assert found.measured["calls"].step_seconds == pytest.approx(8 * 0.02, rel=0.5)
    np.testing.assert_array_equal(members[0], 1)  # not given away
