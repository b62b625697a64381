"""Every optimiser against the rule of its paper, written out in NumPy; decay, clipping, groups and freezing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config import resolve
from cnn_jax.errors import ConfigError
from cnn_jax.train.optim import make_optimizer
from cnn_jax.train.paths import check_patterns, matches
from cnn_jax.train.rule import Objective

RATE, STEPS = 0.1, 6
START = {"conv1": {"kernel": np.array([[1.0, -2.0], [0.5, 3.0]]), "bias": np.array([0.3, -0.4])}}
CURVATURE = 0.7


def objective():
    """f(p) = 0.35 |p - 1|^2, whose gradient NumPy knows."""

    def value(params):
        loss = sum((0.5 * CURVATURE * jnp.sum((p - 1) ** 2) for p in jax.tree.leaves(params)), jnp.float32(0))
        return loss, ({}, {"loss": loss})

    return Objective(value, jax.grad(value, has_aux=True))


def gradient(p):
    return CURVATURE * (p - 1)


def run(freeze=(), scale=1.0, start=START, steps=STEPS, **keys):
    flat = {"total_steps": STEPS, "optimizer.learning_rate": RATE}
    config = resolve(flat | {f"optimizer.{key.replace('__', '.')}": value for key, value in keys.items()})
    rule = make_optimizer(config.optimizer, optax.constant_schedule(RATE), freeze)
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), start)
    opt_state, key = rule.init(params), jax.random.key(0)
    for _ in range(steps):
        params, opt_state, (_, metrics) = rule.update(objective(), params, opt_state, scale, key)
        assert metrics["loss"].shape == metrics["grad_norm"].shape == ()
    return jax.tree.map(np.asarray, params)


def by_paper(rule, start=START):
    """Applies `rule(p, g, memory, t) -> p` to each array for some steps, in float64."""

    def one(p):
        p, memory = p.astype(np.float64), {}
        for t in range(1, STEPS + 1):
            p = rule(p, gradient(p), memory, t)
        return p

    return jax.tree.map(one, start)


def momentum(p, g, m, t):
    """Polyak 1964: v = 0.9 v + g."""
    m["v"] = 0.9 * m.get("v", 0) + g
    return p - RATE * m["v"]


def alexnet(p, g, m, t):
    """AlexNet section 5, the rate within the velocity: v = 0.9 v - 0.0005 e w - e g."""
    m["v"] = 0.9 * m.get("v", 0) - 0.0005 * RATE * p - RATE * g
    return p + m["v"]


def nesterov(p, g, m, t):
    """Sutskever et al. 2013, in the variables at which the gradient is taken (Bengio et al. 2013, eq. 7)."""
    before = m.get("v", 0)
    m["v"] = 0.9 * before - RATE * g
    return p + 0.9 * m["v"] - RATE * g


def adagrad(p, g, m, t):
    m["g2"] = m.get("g2", 0) + g**2
    return p - RATE * g / np.sqrt(m["g2"] + 1e-8)


def adadelta(p, g, m, t):
    """Zeiler 2012, algorithm 1, with rho 0.95 and epsilon 1e-6; the rate multiplies, the paper's is 1."""
    m["g2"] = 0.95 * m.get("g2", 0) + 0.05 * g**2
    step = np.sqrt(m.get("x2", 0) + 1e-6) / np.sqrt(m["g2"] + 1e-6) * g
    m["x2"] = 0.95 * m.get("x2", 0) + 0.05 * step**2
    return p - RATE * step


def rmsprop(p, g, m, t):
    m["g2"] = 0.9 * m.get("g2", 0) + 0.1 * g**2
    return p - RATE * g / np.sqrt(m["g2"] + 1e-8)


def adam(p, g, m, t, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m["m"] = beta1 * m.get("m", 0) + (1 - beta1) * g
    m["v"] = beta2 * m.get("v", 0) + (1 - beta2) * g**2
    return p - RATE * m["m"] / (1 - beta1**t) / (np.sqrt(m["v"] / (1 - beta2**t)) + epsilon)


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"name": "gd"}, lambda p, g, m, t: p - RATE * g),
        ({"name": "sgd"}, lambda p, g, m, t: p - RATE * g),
        ({"name": "momentum"}, momentum),
        ({"name": "momentum", "weight_decay": 0.0005, "decay": "all"}, alexnet),
        ({"name": "nesterov"}, nesterov),
        ({"name": "adagrad"}, adagrad),
        ({"name": "adadelta"}, adadelta),
        ({"name": "rmsprop"}, rmsprop),
        ({"name": "adam"}, adam),
        ({"name": "adam", "beta1": 0.5, "beta2": 0.9}, lambda p, g, m, t: adam(p, g, m, t, 0.5, 0.9)),
        # L2 goes through Adam's scaling, decoupled decay does not (Loshchilov and Hutter 2019, algorithm 2).
        ({"name": "adam", "weight_decay": 0.1, "decay": "all"}, lambda p, g, m, t: adam(p, g + 0.1 * p, m, t)),
        ({"name": "adamw", "weight_decay": 0.1, "decay": "all"}, lambda p, g, m, t: adam(p, g, m, t) - RATE * 0.1 * p),
        (
            {"name": "momentum", "weight_decay": 0.1, "decay": "all", "decay_form": "decoupled"},
            lambda p, g, m, t: momentum(p, g, m, t) - RATE * 0.1 * p,
        ),
        ({"name": "sgd", "clip_value": 0.2}, lambda p, g, m, t: p - RATE * np.clip(g, -0.2, 0.2)),
    ],
)
def test_the_papers_rule(keys, rule):
    found, expected = run(**keys), by_paper(rule)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-5, atol=1e-6)
        assert np.abs(a - b).max() < np.abs(b - 1).max()


def test_biases_are_spared_by_decay_unless_asked_for():
    plain, kernels, every = (
        run(name="sgd"),
        run(name="sgd", weight_decay=0.5),
        run(name="sgd", weight_decay=0.5, decay="all"),
    )
    np.testing.assert_array_equal(kernels["conv1"]["bias"], plain["conv1"]["bias"])
    assert np.all(np.abs(every["conv1"]["bias"] - plain["conv1"]["bias"]) > 1e-3)
    np.testing.assert_array_equal(kernels["conv1"]["kernel"], every["conv1"]["kernel"])


def test_the_norm_of_the_whole_gradient_is_clipped():
    g = jax.tree.map(gradient, START)
    norm = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(g)))
    found = run(name="sgd", clip_norm=0.5, steps=1)
    for after, before, one in zip(*map(jax.tree.leaves, (found, START, g)), strict=True):
        np.testing.assert_allclose(after, before - RATE * one * 0.5 / norm, rtol=1e-5)


def test_scale_multiplies_the_rate():
    """What the plateau does; with the rate outside the velocity it acts at once."""
    found, before = run(name="sgd", scale=0.25, steps=1)["conv1"]["bias"], START["conv1"]["bias"]
    np.testing.assert_allclose(found, before - 0.25 * RATE * gradient(before), rtol=1e-6)


TWO = {
    "conv1": {"kernel": np.ones((2, 2)) * 2, "bias": np.ones(2) * 2},
    "block2": {"conv": {"kernel": np.ones((2, 2)) * 2}},
}


def test_groups_multiply_the_rate_and_frozen_layers_stay():
    moved = run(name="momentum", start=TWO, steps=1)
    found = run(
        name="momentum", start=TWO, steps=1, groups={"conv1": 0.1, "*bias": 10.0}, freeze=("block2",), weight_decay=0.0
    )
    step = moved["conv1"]["kernel"] - TWO["conv1"]["kernel"]
    np.testing.assert_allclose(found["conv1"]["kernel"] - TWO["conv1"]["kernel"], 0.1 * step, rtol=1e-4)
    np.testing.assert_allclose(found["conv1"]["bias"], moved["conv1"]["bias"], rtol=1e-6)
    np.testing.assert_array_equal(found["block2"]["conv"]["kernel"], TWO["block2"]["conv"]["kernel"])


def test_frozen_layers_do_not_decay():
    found = run(name="adamw", start=TWO, freeze=("block2",), weight_decay=0.5)
    np.testing.assert_array_equal(found["block2"]["conv"]["kernel"], TWO["block2"]["conv"]["kernel"])


def test_patterns_name_a_path_or_what_stands_above_it():
    assert matches("block2/conv1/kernel", "block2")
    assert matches("block2/conv1/kernel", "block*/conv1")
    assert matches("block2/conv1/kernel", "*/kernel")
    assert not matches("block2/conv1/kernel", "conv1")
    assert not matches("block20/conv1/kernel", "block2")
    with pytest.raises(ConfigError, match=r"config.freeze has 'block3'.* the layers are block2, conv1"):
        check_patterns(TWO, ("conv1", "block3"), "freeze")
