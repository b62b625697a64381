"""From the names in `config.augment` to functions of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax

from cnn_jax import ops
from cnn_jax.errors import ConfigError

Augment = Callable[[jax.Array, jax.Array], jax.Array]
"""`(keys [B], images [B, H, W, C]) -> images`: one key per example."""


def make_augmentations(names: Sequence[str]) -> tuple[Augment, ...]:
    """The transformations that `config.augment` lists, in order.

    Each draws from a key of its own, folded from the example's key by its place in the list.

    Args:
        names: `flip`, or `pad_crop:N` for a random crop after padding by N pixels (4 when N is left out; He et al.
            2015, section 4.2).

    Raises:
        ConfigError: for an argument that is not a whole number.
    """
    return tuple(_batched(place, _one_image(name)) for place, name in enumerate(names))


def _one_image(name: str) -> Callable[[jax.Array, jax.Array], jax.Array]:
    kind, _, argument = name.partition(":")
    if argument and not (kind == "pad_crop" and argument.isdigit()):
        raise ConfigError(8, f"config.augment has {name!r}: write flip, pad_crop, or pad_crop:N with a whole number N")
    if kind == "flip":
        return ops.random_flip
    return functools.partial(ops.pad_crop, pad=int(argument or 4))


def _batched(place: int, transform: Callable[[jax.Array, jax.Array], jax.Array]) -> Augment:
    def apply(keys: jax.Array, images: jax.Array) -> jax.Array:
        own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, place)
        return jax.vmap(transform)(own, images)

    return apply
