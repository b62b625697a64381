"""Muon against the SVD and its iteration written out in NumPy; decay by group, schedules that end early."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config import resolve
from cnn_jax.errors import ConfigError
from cnn_jax.train.muon import muon
from cnn_jax.train.optim import make_optimizer
from cnn_jax.train.rule import Objective
from cnn_jax.train.schedule import make_schedule

RATE, STEPS = 0.1, 10
rng = np.random.default_rng(0)
START: Any = {
    "conv": {"kernel": rng.normal(size=(3, 3, 4, 8)), "bias": rng.normal(size=8)},
    "norm": {"bias": rng.normal(size=8)},
    "head": {"kernel": rng.normal(size=(8, 5))},
}
GRADIENT: Any = jax.tree.map(lambda p: rng.normal(size=p.shape), START)


def run(
    steps: int = 3, freeze: tuple[str, ...] = (), schedule: Any = optax.constant_schedule(RATE), **keys: Any
) -> list[Any]:
    """Parameters after every step under a gradient that stays the same."""
    flat = {"total_steps": STEPS} | {f"optimizer.{k.replace('__', '.')}": v for k, v in keys.items()}
    rule = make_optimizer(resolve(flat).optimizer, schedule, freeze, total_steps=STEPS)
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), START)
    gradient = jax.tree.map(lambda g: jnp.asarray(g, jnp.float32), GRADIENT)
    objective = Objective(lambda p: (jnp.float32(0), ({}, {})), lambda p: (gradient, ({}, {})))
    state, history = rule.init(params), [params]
    update = jax.jit(lambda p, s: rule.update(objective, p, s, 1.0, jax.random.key(0))[:2])
    for _ in range(steps):
        params, state = update(params, state)
        history.append(params)
    return [jax.tree.map(lambda p: np.asarray(p, np.float64), p) for p in history]


def newton_schulz(matrix, iterations):
    """The quintic iteration of airbench94_muon.py, in float64."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(iterations):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (1, 1, 6, 20), (3, 5, 7)])
def test_singular_values_of_the_direction_are_near_one(shape):
    tx = muon(momentum=0.95, other_momentum=0.9, newton_schulz=5)
    gradient = {"kernel": jnp.asarray(rng.normal(size=shape), jnp.float32)}
    direction: Any = tx.update(gradient, tx.init(gradient), gradient)[0]
    as_matrix = np.asarray(direction["kernel"]).reshape(-1, shape[-1])
    left, values, right = np.linalg.svd(as_matrix, full_matrices=False)
    assert values.min() > 0.6
    assert values.max() < 1.3
    # The nearest orthogonal matrix to the gradient has the same singular vectors.
    u, _, v = np.linalg.svd(np.asarray(gradient["kernel"]).reshape(-1, shape[-1]), full_matrices=False)
    overlap = np.sum((left @ right) * (u @ v)) / len(values)
    assert overlap > 0.98


@pytest.mark.parametrize("iterations", [3, 5])
def test_kernels_take_the_iteration_and_the_rest_nesterov(iterations):
    before, after, *_ = run(name="muon", newton_schulz=iterations, momentum=0.6, other_momentum=0.85)
    matrix = GRADIENT["conv"]["kernel"].reshape(-1, 8)
    moved = (before["conv"]["kernel"] - after["conv"]["kernel"]).reshape(-1, 8) / RATE
    np.testing.assert_allclose(moved, newton_schulz(matrix.T, iterations).T, rtol=1e-3, atol=1e-4)
    for layer, name in (("conv", "bias"), ("norm", "bias"), ("head", "kernel")):
        expected = before[layer][name] - RATE * 1.85 * GRADIENT[layer][name]
        np.testing.assert_allclose(after[layer][name], expected, rtol=1e-5, atol=1e-6)


def test_kernels_keep_their_norm_and_frozen_ones_their_bits():
    history = run(name="muon", kernel_norm=True)
    for before, after in itertools.pairwise(history):
        kernel = before["conv"]["kernel"]
        brought = kernel * np.sqrt(8) / np.linalg.norm(kernel)
        moved = (brought - after["conv"]["kernel"]).reshape(-1, 8) / RATE
        assert np.linalg.svd(moved, compute_uv=False).max() < 1.3
    frozen = run(name="muon", kernel_norm=True, freeze=("conv/kernel",), weight_decay=0.1)
    np.testing.assert_array_equal(frozen[-1]["conv"]["kernel"], frozen[0]["conv"]["kernel"])
    assert np.any(frozen[-1]["conv"]["bias"] != frozen[0]["conv"]["bias"])


def test_muons_l2_spares_what_it_orthogonalises_and_its_own_decay_does_not():
    plain = run(1, name="muon")[1]
    l2 = run(1, name="muon", weight_decay=0.5, decay="all", decay_form="l2")[1]
    np.testing.assert_array_equal(l2["conv"]["kernel"], plain["conv"]["kernel"])
    decayed = plain["norm"]["bias"] - RATE * 1.9 * 0.5 * START["norm"]["bias"]
    np.testing.assert_allclose(l2["norm"]["bias"], decayed, rtol=1e-4, atol=1e-6)
    own = run(1, name="muon", weight_decay=0.5)[1]
    decayed = plain["conv"]["kernel"] - RATE * 0.5 * START["conv"]["kernel"]
    np.testing.assert_allclose(own["conv"]["kernel"], decayed, rtol=1e-4, atol=1e-6)


def test_decay_is_the_same_for_every_group_unless_it_goes_with_their_rates():
    keys: dict[str, Any] = {
        "name": "nesterov",
        "momentum": 0.5,
        "weight_decay": 0.2,
        "decay": "all",
        "groups__head": 8.0,
    }
    gained = 1.5 * RATE * 0.2  # of one step with Nesterov's momentum
    with_rates = run(steps=1, **keys)[1]
    alone = run(steps=1, group_decay=False, **keys)[1]
    for found, factor in ((with_rates, 8), (alone, 1)):
        step = 8 * RATE * 1.5 * GRADIENT["head"]["kernel"]
        expected = START["head"]["kernel"] * (1 - factor * gained) - step
        np.testing.assert_allclose(found["head"]["kernel"], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["norm"]["bias"], with_rates["norm"]["bias"])


def test_until_presses_the_schedule_into_a_share_of_the_training():
    falling = optax.linear_schedule(RATE, 0.0, STEPS)
    keys: dict[str, Any] = {"name": "sgd", "until__norm": 0.4, "until__head/kernel": 0.5}
    history = run(STEPS, schedule=falling, **keys)
    steps = {
        "norm": [RATE * (1 - t / 4) if t < 4 else 0 for t in range(10)],
        "head": [RATE * (1 - t / 5) if t < 5 else 0 for t in range(10)],
        "conv": [RATE * (1 - t / 10) for t in range(10)],
    }
    for layer, name in (("norm", "bias"), ("head", "kernel"), ("conv", "kernel"), ("conv", "bias")):
        for t, rate in enumerate(steps[layer]):
            moved = history[t][layer][name] - history[t + 1][layer][name]
            np.testing.assert_allclose(moved, rate * GRADIENT[layer][name], rtol=1e-3, atol=2e-6)
    np.testing.assert_array_equal(history[4]["norm"]["bias"], history[10]["norm"]["bias"])


def test_polynomial_ends_at_its_share_after_warming_up_from_another():
    """The triangle of airbench94.py: 0.2 of the rate, all of it after 109 of 476 steps, 0.07 at the end."""
    keys = {"name": "polynomial", "warmup_steps": 109, "warmup_from": 0.2, "end": 0.07}
    config = resolve({"total_steps": 476} | {f"schedule.{key}": value for key, value in keys.items()})
    rate = make_schedule(config.schedule, 2.0, 476)
    expected = np.interp(np.arange(477), [0, 109, 476], [0.4, 2.0, 0.14])
    np.testing.assert_allclose([float(np.asarray(rate(step))) for step in range(0, 477, 17)], expected[::17], rtol=1e-5)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"optimizer.kernel_norm": True}, "means nothing to config.optimizer.name=momentum: it is for muon"),
        ({"optimizer.name": "muon", "optimizer.newton_schulz": 0}, "a positive number of iterations"),
        ({"optimizer.group_decay": False}, "without config.optimizer.groups"),
        ({"optimizer.until.head": 1.5}, "a share of the training"),
        ({"optimizer.until": 0.5}, "config.optimizer.until.PATTERN=SHARE"),
        ({"optimizer.name": "muon", "optimizer.kernel_norm": True, "schedule.name": "plateau"}, "soften"),
        ({"optimizer.name": "random_search", "optimizer.until.head": 0.5}, "follows no gradient"),
        ({"schedule.name": "cosine", "schedule.end": 0.1}, "it is for polynomial"),
    ],
)
def test_what_does_not_go_together_is_refused(keys, words):
    with pytest.raises(ConfigError, match=words):
        resolve({"total_steps": 4, **keys})
