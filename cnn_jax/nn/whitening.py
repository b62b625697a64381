"""The initialiser that is made from data, and the context that tells it what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.nn.initializers import Initializer

_patches: ContextVar[jax.Array | None] = ContextVar("patches", default=None)


@contextmanager
def measured_patches(covariance: jax.Array | None) -> Iterator[None]:
    """While parameters are made inside, the layers that whiten know the covariance of the training images' patches.

    Args:
        covariance: [P, P] as `ops.patch_covariance` gives it, of the images as the network sees them; None if nothing
            was measured.
    """
    token = _patches.set(covariance)
    try:
        yield
    finally:
        _patches.reset(token)


def whitening(epsilon: float = 5e-4) -> Initializer:
    """A first convolution that whitens patches: one filter a direction, and the negatives (Jordan 2024, section 3.2).

    Its kernel is [k, k, C, 2 k k C]. It is no random number: of images about which nothing was measured
    (`measured_patches`) it takes the pixels to be white, and picks out one after another.

    Args:
        epsilon: as in `ops.whitening_filters`.
    """

    def init(key: jax.Array, shape, dtype=jnp.float32) -> jax.Array:
        del key
        *patch, features = shape
        covariance = _patches.get()
        covariance = jnp.eye(features // 2) if covariance is None else jnp.asarray(covariance, jnp.float32)
        filters = ops.whitening_filters(covariance, epsilon=epsilon)
        return jnp.concatenate([filters, -filters], axis=1).reshape(*patch, features).astype(dtype)

    return init
