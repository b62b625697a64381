"""Small networks with random weights, for tests that look inside."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import cnn_jax
from cnn_jax.inspect.network import Network


@functools.lru_cache
def network(name: str, shape: tuple[int, int, int], seed: int = 0) -> Network:
    """A network of the catalogue, its biases and statistics random too."""
    model = cnn_jax.create(name)
    # Drawn here: compiling the initialisers would take longer than the tests.
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, *shape))), jax.random.key(0))
    rng = np.random.default_rng(seed)

    def drawn(path: Any, value: jax.ShapeDtypeStruct) -> jax.Array:
        noise = rng.standard_normal(value.shape).astype(np.float32)
        if value.ndim > 1:
            return jnp.asarray(noise * np.sqrt(2 / np.prod(value.shape[:-1])))
        around_one = any(word in str(path[-1]) for word in ("var", "scale", "coefficient"))
        return jnp.asarray(1 + 0.1 * np.abs(noise) if around_one else 0.1 * noise)

    return Network(model, jax.tree_util.tree_map_with_path(drawn, shapes))


def images(count: int, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Standard normal images, float32."""
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def kernels(net: Network, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a layer, float64."""
    held = net.variables["params"][layer]
    return np.asarray(held["kernel"], np.float64), np.asarray(held["bias"], np.float64)


def apply(net: Network, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits and taps."""
    logits, taps = jax.jit(net.apply)(net.variables, x)
    return np.asarray(logits), {name: np.asarray(value) for name, value in taps.items()}


def given(net: Network, x: np.ndarray) -> dict[str, np.ndarray]:
    """What every module gave, by its path: Flax's own record."""
    record = functools.partial(net.model.apply, train=False, capture_intermediates=True)
    found = jax.jit(lambda variables, x: record(variables, x)[1]["intermediates"])(net.variables, x)
    named = {}
    for path, value in jax.tree_util.tree_leaves_with_path(found):
        names = [str(key.key) for key in path if isinstance(key, jax.tree_util.DictKey)]
        named["/".join(names).removesuffix("/__call__")] = np.asarray(value, np.float64)
    return named
