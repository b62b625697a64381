"""Activation functions of the lectures, and the one table that finds them by name."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.errors import ConfigError
from cnn_jax.ops.relu_rule import ruled_relu


def identity(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The input itself: what a network without non-linearity applies (stacked linear layers collapse into one)."""
    return x


def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(x, 0), with gradient 0 at 0 (Nair and Hinton 2010; AlexNet section 3.1).

    Under `relu_rule` its backward pass is that rule's.
    """
    return (ruled_relu() or jax.nn.relu)(x)


def sigmoid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1 / (1 + exp(-x)): saturates at both ends, not centred on zero (Rumelhart et al. 1986, eq. 2)."""
    return jax.nn.sigmoid(x)


def tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Hyperbolic tangent: centred on zero, saturates at both ends (Efficient BackProp, 1998, section 4.4)."""
    return jnp.tanh(x)


def scaled_tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1.7159 tanh(2x/3), so that f(1) = 1 and f(-1) = -1 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * jnp.tanh(x * (2 / 3))


def leaky_relu(x: Float[Array, "*shape"], slope: float = 0.01) -> Float[Array, "*shape"]:
    """X above zero, slope * x below (Maas et al. 2013)."""
    return jnp.where(x >= 0, x, slope * x)


def prelu(x: Float[Array, "*batch c"], slope: Float[Array, "*c"]) -> Float[Array, "*batch c"]:
    """Leaky ReLU with a learned slope (He et al. 2015, Delving Deep into Rectifiers, eq. 1).

    Args:
        x: [..., C].
        slope: [C] (one per channel) or [] (one for all).
    """
    return jnp.where(x >= 0, x, slope.astype(x.dtype).reshape((1,) * (x.ndim - slope.ndim) + slope.shape) * x)


def elu(x: Float[Array, "*shape"], alpha: float = 1.0) -> Float[Array, "*shape"]:
    """X above zero, alpha * (exp(x) - 1) below (Clevert et al. 2015)."""
    return jax.nn.elu(x, alpha)


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """X times the Gaussian's cumulative probability of x, exact, not its tanh form (Hendrycks and Gimpel 2016)."""
    return jax.nn.gelu(x, approximate=False)


def silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """X sigmoid(x) (Elfwing et al. 2017; Ramachandran et al. 2017 call it Swish)."""
    return jax.nn.silu(x)


def maxout(x: Float[Array, "*batch c"], pieces: int = 2) -> Float[Array, "*batch units"]:
    """The largest of `pieces` neighbouring channels (Goodfellow et al. 2013).

    Args:
        x: [..., C], C a multiple of `pieces`.
        pieces: linear pieces of each output unit.

    Returns:
        [..., C / pieces].

    Raises:
        ConfigError: C is not a multiple of `pieces`.
    """
    if x.shape[-1] % pieces:
        raise ConfigError(51, f"maxout of {pieces} pieces needs a multiple of {pieces} channels, got {x.shape[-1]}")
    return x.reshape(*x.shape[:-1], x.shape[-1] // pieces, pieces).max(axis=-1)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "identity": identity,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "scaled_tanh": scaled_tanh,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "gelu": gelu,
    "silu": silu,
    "maxout": maxout,
}


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """The parameter-free activation called `name` (`prelu` has parameters: use `nn.Activation`).

    Raises:
        ConfigError: no such activation; the message lists the legal names.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(50, f"unknown activation {name!r}; legal: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
