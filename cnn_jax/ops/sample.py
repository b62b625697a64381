"""Values of an image between its pixels."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def bilinear(
    image: Float[Array, "height width channels"],
    rows: Float[Array, "*places"],
    columns: Float[Array, "*places"],
    *,
    outside: Literal["zeros", "edge"],
) -> Float[Array, "*places channels"]:
    """Reads an image at places between its pixels (Jaderberg et al. 2015, Spatial Transformer Networks, eq. 5).

    Args:
        image: the image.
        rows: in pixels, whole numbers at pixel centres.
        columns: likewise.
        outside: what is read beyond the border: 0, or the nearest border pixel.
    """
    height, width, channels = image.shape
    low_row, low_column = jnp.floor(rows), jnp.floor(columns)
    below, right = rows - low_row, columns - low_column
    flat = image.reshape(height * width, channels)
    total = jnp.zeros((*rows.shape, channels), image.dtype)
    for row_step, row_weight in ((0, 1 - below), (1, below)):
        for column_step, column_weight in ((0, 1 - right), (1, right)):
            row = low_row.astype(jnp.int32) + row_step
            column = low_column.astype(jnp.int32) + column_step
            weight = row_weight * column_weight
            if outside == "zeros":
                weight = jnp.where(_inside(row, column, height, width), weight, 0.0)
            index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
            total += weight[..., None] * flat[index]
    return total


def nearest(
    mask: Int[Array, "height width"], rows: Float[Array, "*places"], columns: Float[Array, "*places"]
) -> Int[Array, "*places"]:
    """Reads a mask at the pixels nearest to places; 0 outside, which begins half a pixel beyond the border's centre."""
    height, width = mask.shape
    row, column = jnp.floor(rows + 0.5).astype(jnp.int32), jnp.floor(columns + 0.5).astype(jnp.int32)
    index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
    return jnp.where(_inside(row, column, height, width), mask.reshape(-1)[index], jnp.zeros((), mask.dtype))


def _inside(row: Array, column: Array, height: int, width: int) -> Array:
    return (row >= 0) & (row < height) & (column >= 0) & (column < width)
