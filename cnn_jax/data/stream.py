"""The order in which a training run sees its examples: pure functions of (seed, position)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key


class Order(NamedTuple):
    """The shuffled order of epochs that follow each other; two are enough for any call that is shorter than an epoch.

    Attributes:
        first_epoch: int32 [], the epoch of the first row.
        permutations: int32 [E, N].
    """

    first_epoch: jax.Array
    permutations: jax.Array


def order_from(key: Key[Array, ""], position: Int[Array, ""], num_examples: int, epochs: int = 2) -> Order:
    """The order from the start of the epoch that stream position `position` is in, for so many epochs.

    Each epoch is one permutation of the examples, drawn from `(key, epoch)` alone, so that a restart at any position
    continues the same stream. Nothing is dropped at the end of an epoch: a batch may straddle two.

    Args:
        key: the run's key for the order.
        position: examples seen so far.
        num_examples: N, examples in an epoch.
        epochs: E, how many epochs.
    """
    first = position // num_examples
    numbers = first + jnp.arange(epochs, dtype=first.dtype)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, numbers)
    permutations = jax.vmap(lambda k: jax.random.permutation(k, num_examples))(keys)
    return Order(first.astype(jnp.int32), permutations.astype(jnp.int32))


def batch_at(
    order: Order, position: Int[Array, ""], batch_size: int
) -> tuple[Int[Array, " batch"], Int[Array, " batch"]]:
    """The examples at stream positions `position ... position + batch_size - 1`.

    Returns:
        Indices into the training split, and the epoch that each of them belongs to.
    """
    num_examples = order.permutations.shape[1]
    positions = position + jnp.arange(batch_size, dtype=jnp.int32)
    epoch = positions // num_examples
    return order.permutations[epoch - order.first_epoch, positions % num_examples], epoch
