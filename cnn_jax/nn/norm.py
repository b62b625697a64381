"""Normalisation layers, and the context that synchronises batch statistics over replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.errors import ConfigError

ConvNormName = Literal["none", "batch", "layer", "instance", "group"]
"""Norms that stand between a convolution and its activation."""
NormName = Literal[ConvNormName, "lrn", "contrast"]
"""These, and the local norms without parameters, which stand where a paper puts them."""
LRNConstants = tuple[int, float, float, float]
LRN: LRNConstants = (5, 1e-4, 0.75, 2.0)
"""n, alpha, beta and k of local response norm (AlexNet section 3.3)."""
LOCAL_NORMS = ("lrn", "contrast")
_replica_axis: ContextVar[str | None] = ContextVar("replica_axis", default=None)
_frozen: ContextVar[Callable[[str], bool]] = ContextVar("frozen", default=lambda path: False)


@contextmanager
def cross_replica(axis_name: str | None) -> Iterator[None]:
    """While tracing inside, every BatchNorm averages its statistics over the mapped axis `axis_name`.

    Under `jit` over a mesh nothing is needed: there the mean over the batch is already the global one.
    """
    token = _replica_axis.set(axis_name)
    try:
        yield
    finally:
        _replica_axis.reset(token)


@contextmanager
def frozen_norms(frozen: Callable[[str], bool]) -> Iterator[None]:
    """While tracing inside, a BatchNorm whose path (`block1/norm1`) is frozen keeps and uses its running statistics."""
    token = _frozen.set(frozen)
    try:
        yield
    finally:
        _frozen.reset(token)


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) with float32 statistics whatever the dtype of the input.

    Attributes:
        momentum: decay of the running statistics.
        epsilon: added to the variance.
        use_scale: whether a scale is learned, gamma; a bias always is.
        dtype: of the output; that of the input if None.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[N, ..., C]; the batch's statistics while training, the running ones otherwise."""
        channels = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        scale = self.param("scale", nn.initializers.ones, channels, jnp.float32) if self.use_scale else None
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        mean, variance = running_mean.value, running_var.value
        if train and not _frozen.get()("/".join(self.path)):
            # The mapped axis does not exist while parameters are made.
            axis_name = None if self.is_initializing() else _replica_axis.get()
            mean, variance = (m.reshape(channels) for m in ops.moments(x, range(x.ndim - 1), axis_name=axis_name))
            if not self.is_initializing():
                running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
                running_var.value = self.momentum * running_var.value + (1 - self.momentum) * variance
        return ops.batch_norm(x, mean, variance, scale, bias, epsilon=self.epsilon).astype(self.dtype or x.dtype)


class GroupNorm(nn.Module):
    """Group normalisation; one group is layer norm over the whole example, as many as channels is instance norm.

    Attributes:
        num_groups: number of groups of channels; 0 stands for one group per channel.
        epsilon: added to the variance.
    """

    num_groups: int
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, ..., C]."""
        channels = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        return ops.group_norm(x, self.num_groups or x.shape[-1], scale, bias, epsilon=self.epsilon)


class LocalResponseNorm(nn.Module):
    """Local response normalisation with the paper's constants (AlexNet section 3.3); arguments as in the op."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0
    divide_by_n: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., C]."""
        return ops.local_response_norm(
            x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k, divide_by_n=self.divide_by_n
        )


class ContrastNorm(nn.Module):
    """Local contrast normalisation: subtractive, then divisive (Jarrett et al. 2009, section 2).

    Attributes:
        size: side of the window in pixels; odd.
    """

    size: int = 9

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C]."""
        return ops.contrast_norm(x, size=self.size)


def local_norm(x: jax.Array, kind: str, *, name: str, lrn: LRNConstants = LRN) -> jax.Array:
    """Applies "lrn" with the constants (n, alpha, beta, k), or "contrast"; any other norm stands elsewhere: the input.

    Args:
        x: [N, H, W, C].
        kind: a norm's name.
        name: of the layer.
        lrn: constants of local response norm.
    """
    if kind == "lrn":
        size, alpha, beta, k = lrn
        return LocalResponseNorm(size, alpha, beta, k, name=name)(x)
    return ContrastNorm(name=name)(x) if kind == "contrast" else x


def norm(x: jax.Array, kind: str, *, name: str, train: bool, epsilon: float = 1e-5) -> jax.Array:
    """Applies the norm called `kind` as the submodule `name` of the module being traced; "none" is the input.

    "group" takes 8 groups, or as many as divide the channels.

    Raises:
        ConfigError: no such norm; the message lists the legal names.
    """
    match kind:
        case "none":
            return x
        case "lrn" | "contrast":
            return local_norm(x, kind, name=name)
        case "batch":
            return BatchNorm(epsilon=epsilon, name=name)(x, train=train)
        case "layer":
            return GroupNorm(1, epsilon, name=name)(x)
        case "instance":
            return GroupNorm(0, epsilon, name=name)(x)
        case "group":
            groups = next(g for g in range(8, 0, -1) if x.shape[-1] % g == 0)
            return GroupNorm(groups, epsilon, name=name)(x)
    raise ConfigError(57, f"unknown norm {kind!r}; legal: {', '.join(get_args(NormName))}")
