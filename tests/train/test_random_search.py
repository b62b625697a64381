"""The baselines without gradient: they only go down, local beats global, and a resumed run is the same run."""

from __future__ import annotations

import functools
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.config import resolve
from cnn_jax.errors import ConfigError, Preempted
from cnn_jax.evaluate import load
from cnn_jax.train.loop import train
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.progress import Silence
from cnn_jax.train.random_search import SearchState, local_random_search, random_search
from cnn_jax.train.rule import Objective
from tests.toy import toy_config, toy_dataset

STEPS, CANDIDATES = 30, 10
RULES = {"random": random_search(0.1, CANDIDATES), "local": local_random_search(0.1, CANDIDATES)}


NEW, JUDGED = (SearchState(jnp.array(judged)) for judged in (False, True))


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
    def step(params, opt_state, key):
        params, opt_state, (state, metrics) = rule.update(PROBLEM, params, opt_state, 1.0, key)
        return params, opt_state, state, metrics

    return step


def run(name: str, steps=range(STEPS), before=None):
    """Parameters and state of the rule, and the loss after each step."""
    params, opt_state = before or (start(), RULES[name].init(start()))
    losses = []
    for i in steps:
        params, opt_state, state, metrics = step_of(name)(params, opt_state, jax.random.key(i))
        losses.append(float(metrics["loss"]))
        # What is handed on belongs to the parameters that were kept, not to the last candidate.
        np.testing.assert_array_equal(state["count"], params["bias"])
        np.testing.assert_allclose(PROBLEM.value(params)[0], losses[-1], rtol=1e-6)
        assert 0 <= float(metrics["accepted"]) <= 1
    return (params, opt_state), losses


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
    drawn, _, _ = random_search(0.25, 1).update(objective, params, NEW, 1.0, jax.random.key(0))
    stepped, _, _ = local_random_search(0.25, 1).update(objective, params, JUDGED, 1.0, jax.random.key(0))
    np.testing.assert_allclose([drawn["kernel"].mean(), drawn["kernel"].std()], [0, 0.25], atol=0.01)
    np.testing.assert_allclose([stepped["kernel"].mean(), stepped["kernel"].std()], [3, 0.25], atol=0.01)


def test_the_first_draw_is_kept_and_initial_parameters_are_where_local_search_starts():
    """Zeros have the lowest loss of all here: no draw beats them, but random search has none before its first."""
    objective = Objective(lambda p: ((p["kernel"] ** 2).sum(), ({}, {})), lambda p: (p, ({}, {})))
    params, key = {"kernel": jnp.zeros(4)}, jax.random.key(0)
    drawn, state, _ = (rule := random_search(1.0, 3)).update(objective, params, rule.init(params), 1.0, key)
    assert drawn["kernel"].all()
    kept, _, _ = rule.update(objective, params, state, 1.0, key)
    stayed, _, _ = (rule := local_random_search(1.0, 3)).update(objective, params, rule.init(params), 1.0, key)
    assert kept["kernel"].tolist() == stayed["kernel"].tolist() == [0, 0, 0, 0]


def test_a_loss_that_is_no_number_is_never_taken():
    objective = Objective(
        lambda p: (jnp.where(p["kernel"].sum() == 0, 1.0, jnp.nan), ({}, {})), lambda p: (p, ({}, {}))
    )
    params = {"kernel": jnp.zeros(4)}
    kept, _, (_, metrics) = random_search(1.0, 5).update(objective, params, JUDGED, 1.0, jax.random.key(0))
    assert kept["kernel"].tolist() == [0, 0, 0, 0]
    assert float(metrics["accepted"]) == 0


@pytest.mark.parametrize("name", ["random_search", "local_random_search"])
def test_training_resumes_bit_for_bit_and_falls_below_chance(name, tmp_path):
    """Stopped after four of ten steps; the batch is the whole training set."""

    class StopAtFour(Silence):
        def advance(self, step, seconds, steps, train):
            if step >= 4:
                os.kill(os.getpid(), signal.SIGTERM)

    dataset = toy_dataset()
    config = toy_config(model__name="linear", total_steps=10, log_every=2, batch_size=150, augment=(), eval_every=10,
                        optimizer__name=name, optimizer__sigma=0.02, optimizer__candidates=4)  # fmt: skip
    train(config, tmp_path / "straight", dataset=dataset, progress=False)
    with pytest.raises(Preempted):
        train(config, tmp_path / "resumed", dataset=dataset, progress=StopAtFour())
    train(config, tmp_path / "resumed", dataset=dataset, progress=False)
    ours, theirs = (load(tmp_path / run, step="latest").variables for run in ("straight", "resumed"))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)
    losses = [line["loss"] for line in read_metrics(tmp_path / "straight") if "accepted" in line]
    assert len(losses) > 2
    assert losses[-1] < np.log(3)


@pytest.mark.parametrize(
    "keys",
    [
        {"optimizer.weight_decay": 0.1},
        {"optimizer.clip_norm": 1.0},
        {"optimizer.groups.fc1": 0.5},
        {"optimizer.momentum": 0.9},
        {"freeze": ("fc1",)},
    ],
)
def test_what_belongs_to_gradients_is_refused(keys):
    with pytest.raises(ConfigError, match=r"E-CONF-100: .* means nothing to config.optimizer.name=random_search"):
        resolve({"total_steps": 3, "optimizer.name": "random_search"} | keys)
    with pytest.raises(ConfigError, match="it is for random_search, local_random_search"):
        resolve({"total_steps": 3, "optimizer.name": "sgd", "optimizer.candidates": 5})
