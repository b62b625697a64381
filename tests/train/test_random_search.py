"""The baselines without gradient: they only go down, local beats global, and a resumed run is the same run."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.train.random_search import local_random_search, random_search
from cnn_jax.train.rule import Objective

STEPS, CANDIDATES = 30, 10
RULES = {"random": random_search(0.1, CANDIDATES), "local": local_random_search(0.1, CANDIDATES)}


def linear_problem() -> Objective:
    """200 points in 20 dimensions, five classes decided by a hidden matrix; the whole set is the batch."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(200, 20)), jnp.float32)
    labels = jnp.argmax(x @ rng.normal(size=(20, 5)), axis=1)

    def value(params):
        loss = ops.softmax_cross_entropy(x @ params["kernel"] + params["bias"][None], labels).mean()
        return loss, ({"count": params["bias"]}, {"loss": loss})

    def gradient(params):
        raise AssertionError("a search without gradient asked for one")

    return Objective(value, gradient)


PROBLEM = linear_problem()


def start():
    return {"kernel": jnp.zeros((20, 5)), "bias": jnp.zeros(5)}


@functools.cache
def step_of(name: str):
    rule = RULES[name]

    @jax.jit
    def step(params, key):
        params, _, (state, metrics) = rule.update(PROBLEM, params, rule.init(params), 1.0, key)
        return params, state, metrics

    return step


def run(name: str, steps=range(STEPS), params=None):
    """Parameters and the loss after each step."""
    params, losses = params or start(), []
    for i in steps:
        params, state, metrics = step_of(name)(params, jax.random.key(i))
        losses.append(float(metrics["loss"]))
        # What is handed on belongs to the parameters that were kept, not to the last candidate.
        np.testing.assert_array_equal(state["count"], params["bias"])
        np.testing.assert_allclose(PROBLEM.value(params)[0], losses[-1], rtol=1e-6)
        assert 0 <= float(metrics["accepted"]) <= 1
    return params, losses


@pytest.mark.parametrize("name", RULES)
def test_the_best_loss_never_rises_and_falls_below_chance(name):
    _, losses = run(name)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < np.log(5)


def test_local_beats_global_at_equal_evaluations():
    (_, drawn), (_, walked) = run("random"), run("local")
    assert walked[-1] < drawn[-1] - 0.2


@pytest.mark.parametrize("name", RULES)
def test_a_run_in_two_parts_is_the_same_run(name):
    whole, _ = run(name, range(6))
    half, _ = run(name, range(3))
    rest, _ = run(name, range(3, 6), half)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(rest), strict=True):
        np.testing.assert_array_equal(a, b)


def test_candidates_are_as_wide_as_sigma():
    """Whatever has moved is better here, so that the one candidate is what stays."""
    params = {"kernel": jnp.full((200, 50), 3.0)}
    objective = Objective(lambda p: (-jnp.abs(p["kernel"] - 3.0).max(), ({}, {})), lambda p: (p, ({}, {})))
    drawn, _, _ = random_search(0.25, 1).update(objective, params, (), 1.0, jax.random.key(0))
    stepped, _, _ = local_random_search(0.25, 1).update(objective, params, (), 1.0, jax.random.key(0))
    np.testing.assert_allclose([drawn["kernel"].mean(), drawn["kernel"].std()], [0, 0.25], atol=0.01)
    np.testing.assert_allclose([stepped["kernel"].mean(), stepped["kernel"].std()], [3, 0.25], atol=0.01)


def test_a_loss_that_is_no_number_is_never_taken():
    objective = Objective(
        lambda p: (jnp.where(p["kernel"].sum() == 0, 1.0, jnp.nan), ({}, {})), lambda p: (p, ({}, {}))
    )
    params = {"kernel": jnp.zeros(4)}
    kept, _, (_, metrics) = random_search(1.0, 5).update(objective, params, (), 1.0, jax.random.key(0))
    assert kept["kernel"].tolist() == [0, 0, 0, 0]
    assert float(metrics["accepted"]) == 0
