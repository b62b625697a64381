"""Our side of a comparison."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import cnn_jax

TOLERANCE = 1e-4  # of the largest value


def images(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def logits_of(name: str, variables: Any, x: np.ndarray) -> np.ndarray:
    """Compiled without the optimisations that pay when a program runs more than once."""
    model = cnn_jax.create(name)
    light = {"xla_backend_optimization_level": 0}
    apply = jax.jit(lambda variables, x: model.apply(variables, x, train=False)[0], compiler_options=light)
    return np.asarray(apply(variables, jnp.asarray(x)))


def assert_close(ours: Any, theirs: np.ndarray, what: str = "logits"):
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    assert theirs.std() > 0
    distance = np.abs(ours - theirs).max() / np.abs(theirs).max()
    assert distance < TOLERANCE, f"{what}: {distance:.1e} of the largest value apart"
