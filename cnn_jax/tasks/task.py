"""The interface between a network and the training engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Variables = dict[str, Any]
"""A Flax variable dict: `params`, and `batch_stats` where the network has running statistics."""
Batch = dict[str, jax.Array]
"""`image` uint8 [N, H, W, C], `label` int32 [N]; in evaluation also `valid` bool [N], False for padding."""
Metrics = dict[str, jax.Array]
"""Scalars. In training means over the batch; in evaluation sums over the valid examples, with their `count`."""


class Task(NamedTuple):
    """What training means, as pure functions; the engine knows these and never the name of a model.

    Attributes:
        init: `(key) -> variables`.
        loss: `(variables, batch, key) -> (loss, (state, metrics))`: the scalar training loss, the collections that the
            network updated in passing (`batch_stats`), and the metrics of the batch.
        metrics: `(variables, batch) -> metrics`: sums over the valid examples of an evaluation batch.
        predict: `(variables, image) -> array`: what a user gets for a batch of uint8 images.
        logits: `(variables, image) -> array`: the scores that `predict` is made of, float32.
    """

    init: Callable[[jax.Array], Variables]
    loss: Callable[[Variables, Batch, jax.Array], tuple[jax.Array, tuple[Variables, Metrics]]]
    metrics: Callable[[Variables, Batch], Metrics]
    predict: Callable[[Variables, jax.Array], jax.Array]
    logits: Callable[[Variables, jax.Array], jax.Array]
