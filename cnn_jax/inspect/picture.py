"""From arrays to pictures: grey levels, mosaics, and panels without axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.plotting import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAT = "inferno"
"""A colour map for what lies over an image, even in grey: black is nothing."""

NARROWEST = 4.2
"""Inches that a heading needs."""


def signed(values: np.ndarray, percentile: float = 99.8) -> np.ndarray:
    """Values of both signs as grey levels, zero mid-grey, each image by its own percentile: [..., H, W, C] to uint8."""
    scale = _scale(np.abs(values), percentile, (-3, -2, -1))
    return np.round(127.5 + 127.5 * np.clip(values / scale, -1, 1)).astype(np.uint8)


def positive(values: np.ndarray, percentile: float = 99.5) -> np.ndarray:
    """Magnitudes from black to white, each map by its own percentile, so that a lone pixel does not darken the rest.

    [..., H, W] to uint8.
    """
    return np.round(255 * np.clip(values / _scale(values, percentile, (-2, -1)), 0, 1)).astype(np.uint8)


def _scale(magnitude: np.ndarray, percentile: float, axes: tuple[int, ...]) -> np.ndarray:
    """What is drawn at full strength: the percentile or, of maps that are mostly zero, the largest; never 0."""
    largest = magnitude.max(axis=axes, keepdims=True)
    common = np.percentile(magnitude, percentile, axis=axes, keepdims=True)
    return np.where(common > 0, common, np.where(largest > 0, largest, 1))


def stretched(images: np.ndarray) -> np.ndarray:
    """Each image from black to white by its own smallest and largest value: [..., H, W, C] to uint8."""
    low, high = (f(images, axis=(-3, -2, -1), keepdims=True) for f in (np.min, np.max))
    return np.round(255 * (images - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)


def coloured(image: np.ndarray) -> np.ndarray:
    """Three channels of one or three: uint8 [..., H, W, C] to [..., H, W, 3]."""
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def mosaic(images: np.ndarray, columns: int, gap: int = 1, paper: int = 255) -> np.ndarray:
    """Small images side by side, in reading order, a gap between them.

    Args:
        images: uint8 [N, H, W, C].
        columns: in a row.
        gap: pixels between two.
        paper: grey level of gaps and of places that are left over.

    Returns:
        uint8 [rows * (H + gap) - gap, columns * (W + gap) - gap, C].
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), paper, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y : y + height, x : x + width] = image
    return sheet


def enlarged(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Maps at the size of the image, bilinear: [N, h, w] to float32 [N, *size]."""
    import jax

    shape = (len(maps), *size)
    return np.asarray(jax.image.resize(np.asarray(maps, np.float32), shape, "bilinear", antialias=False))


def panels(rows: int, columns: int, cell: float = 1.15, *, top: float = 0.45, left: float = 0.0) -> tuple[Figure, Any]:
    """A figure with so many square panels of `cell` inches, axes [rows, columns]."""
    figure = new_figure(max(NARROWEST, columns * cell + left), rows * cell + top)
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.03, wspace=0.02, hspace=0.02)  # type: ignore[union-attr]
    return figure, figure.subplots(rows, columns, squeeze=False)


def show_image(axes: Axes, image: np.ndarray, title: str = "", **options: Any) -> Any:
    """An image without ticks: uint8 [H, W, C], or numbers [H, W] with a colour map in the options."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, fontsize=8, pad=3)
    return axes.imshow(coloured(image) if image.ndim == 3 else image, **options)


def show_numbers(axes: Axes, values: np.ndarray, title: str = "", **options: Any) -> Any:
    """A small matrix as squares with their numbers written in: [H, W], a colour map and its ends in the options."""
    drawn = show_image(axes, np.asarray(values, np.float64), title, **options)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = drawn.to_rgba(float(value))
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        axes.text(column, row, f"{value:.3g}", ha="center", va="center", color=ink, fontsize=8)
    return drawn


def show_over(axes: Axes, image: np.ndarray, heat: np.ndarray, title: str = "") -> None:
    """A map over the image in grey: uint8 [H, W, C] and [H, W], black to yellow from zero to its largest."""
    show_image(axes, image.mean(axis=-1), title, cmap="gray", vmin=0, vmax=255)
    axes.imshow(heat, cmap=HEAT, alpha=0.65, vmin=0, vmax=max(float(heat.max()), 1e-12), interpolation="bilinear")


def label_row(axes: Axes, words: str) -> None:
    """Words to the left of a row of panels."""
    axes.set_ylabel(words, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)
