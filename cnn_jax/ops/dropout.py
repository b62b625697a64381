"""Dropout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from cnn_jax.errors import ConfigError


def dropout(key: Key[Array, ""], x: Float[Array, "*shape"], rate: float) -> Float[Array, "*shape"]:
    """Zeroes each value with probability `rate` and divides the rest by 1 - rate, so that the mean stays.

    Srivastava et al. 2014. AlexNet (section 4.2) multiplies by 1 - rate at test time instead; dividing while training
    is the same in expectation and leaves the test-time network untouched.

    Args:
        key: one PRNG key.
        x: values of any shape.
        rate: probability of dropping, in [0, 1).

    Raises:
        ConfigError: the rate is outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise ConfigError(52, f"dropout rate {rate} must be at least 0 and below 1")
    if rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))
