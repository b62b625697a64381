"""Every optimiser with a gradient against PyTorch's, step by step on one problem."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config import resolve
from cnn_jax.train.optim import make_optimizer
from cnn_jax.train.rule import Objective

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[parity]'")

pytestmark = pytest.mark.parity
STEPS, RATE = 12, 0.05
GENERATOR = np.random.default_rng(0)
START = GENERATOR.normal(size=(5, 3)).astype(np.float32)
DESIGN = GENERATOR.normal(size=(20, 5)).astype(np.float32)
TARGET = GENERATOR.normal(size=(20, 3)).astype(np.float32)


def ours(**keys) -> list[np.ndarray]:
    """The kernel after each step on a least-squares problem with a quartic term."""
    config = resolve({"total_steps": STEPS} | {f"optimizer.{key}": value for key, value in keys.items()})
    rule = make_optimizer(config.optimizer, optax.constant_schedule(RATE))

    def value(params):
        rest = DESIGN @ params["kernel"] - TARGET
        return (rest**2).mean() + (params["kernel"] ** 4).mean(), ({}, {})

    objective = Objective(value, jax.grad(value, has_aux=True))

    @jax.jit
    def step(params, opt_state):
        return rule.update(objective, params, opt_state, 1.0, jax.random.key(0))[:2]

    params = {"kernel": jnp.asarray(START)}
    opt_state, path = rule.init(params), []
    for _ in range(STEPS):
        params, opt_state = step(params, opt_state)
        path.append(np.asarray(params["kernel"]))
    return path


def theirs(optimizer, **options) -> list[np.ndarray]:
    kernel = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    tx = optimizer([kernel], lr=RATE, **options)
    design, target = torch.tensor(DESIGN).double(), torch.tensor(TARGET).double()
    path = []
    for _ in range(STEPS):
        tx.zero_grad()
        ((design @ kernel - target).square().mean() + (kernel**4).mean()).backward()
        tx.step()
        path.append(kernel.detach().numpy().copy())
    return path


@pytest.mark.parametrize(
    ("keys", "optimizer", "options"),
    [
        ({"name": "gd"}, "SGD", {}),
        ({"name": "sgd", "weight_decay": 0.1}, "SGD", {"weight_decay": 0.1}),
        ({"name": "momentum"}, "SGD", {"momentum": 0.9}),
        ({"name": "momentum", "weight_decay": 0.1}, "SGD", {"momentum": 0.9, "weight_decay": 0.1}),
        ({"name": "nesterov"}, "SGD", {"momentum": 0.9, "nesterov": True}),
        ({"name": "adagrad"}, "Adagrad", {"eps": 1e-8}),
        ({"name": "adadelta"}, "Adadelta", {"rho": 0.95, "eps": 1e-6}),
        ({"name": "rmsprop"}, "RMSprop", {"alpha": 0.9, "eps": 1e-8}),
        ({"name": "adam"}, "Adam", {}),
        ({"name": "adam", "weight_decay": 0.1}, "Adam", {"weight_decay": 0.1}),
        ({"name": "adamw", "weight_decay": 0.1}, "AdamW", {"weight_decay": 0.1}),
    ],
)
def test_every_step_is_that_of_torch(keys, optimizer, options):
    reference = theirs(getattr(torch.optim, optimizer), **options)
    for step, (actual, expected) in enumerate(zip(ours(**keys), reference, strict=True), 1):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5, err_msg=f"step {step}")
    assert np.abs(reference[-1] - START).max() > 1e-3
