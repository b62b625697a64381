"""The figure of the errors that a network was surest of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax import plotting

_COLUMNS = 5
_WORD = 20


def draw_mistakes(file: Path, images: Sequence[np.ndarray], mistakes: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draws images in rows, each with its true class, what it was taken for and how surely.

    Args:
        file: the picture to write.
        images: uint8 `[H, W, C]`, C = 1 or 3.
        mistakes: one an image, as `evaluate.mistakes.described` gives them.
        title: of the figure.
    """
    rows = max(1, math.ceil(len(images) / _COLUMNS))
    with plotting.style():
        figure = plotting.new_figure(1.5 * _COLUMNS, 1.95 * rows + 0.4)
        figure.suptitle(title, fontsize=10)
        every = figure.subplots(rows, _COLUMNS, squeeze=False)
        for axes in every.flat:
            axes.set_axis_off()
        for axes, image, mistake in zip(every.flat, images, mistakes, strict=False):
            axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
            axes.set_title(
                f"{_short(mistake['class'])}\ntaken for {_short(mistake['prediction'])}\n"
                f"{100 * mistake['probability']:.1f}%, example {mistake['index']}",
                fontsize=7,
            )
        if not images:
            every.flat[0].text(0, 0.5, "no errors")
        plotting.save(figure, file)


def _short(name: str) -> str:
    return name if len(name) <= _WORD else name[: _WORD - 1] + "…"
