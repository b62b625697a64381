"""The layer table of a model, from the model alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.analysis.costs import rows_of, totals_of
from cnn_jax.analysis.table import Table
from cnn_jax.analysis.trace import trace


def show(model: nn.Module, input_shape: Sequence[int], *, name: str = "", dtype=jnp.float32, **kwargs: Any) -> Table:
    """The layer table of any Linen model, traced on shapes alone.

    Args:
        model: maps a batch of images to its outputs.
        input_shape: one image, (H, W, C); other ranks likewise, channels last.
        name: of the model in the table, by default its class's.
        dtype: of the input.
        kwargs: passed to the model; evaluation mode is chosen where it has one.

    Raises:
        GeometryError: a layer that has no output at this input size, by its path.
    """
    traced = trace(model, input_shape, dtype=dtype, **kwargs)
    rows = rows_of(traced)
    return Table(name or type(model).__name__, traced.input_shape, rows, totals_of(traced, rows))


def totals(model: nn.Module, input_shape: Sequence[int], **kwargs: Any) -> dict[str, Any]:
    """The totals of `show`: params, weights, batch_stats, macs, activations, bytes, receptive_field and jump."""
    return show(model, input_shape, **kwargs).total.to_dict()
