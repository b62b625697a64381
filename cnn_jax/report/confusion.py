"""The figure of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn_jax import plotting

_ANNOTATED = 20  # classes up to which every cell has room for its count
_NAMED = 40


def draw_confusion(file: Path, matrix: np.ndarray, classes: Sequence[str], title: str) -> None:
    """Draws which class was taken for which: colours are shares of a row, figures are counts.

    Args:
        file: the picture to write.
        matrix: int `[K, K]`, true classes in rows.
        classes: names; outputs beyond them are left out where nothing was taken for them.
        title: of the figure.
    """
    names = list(classes)
    if len(matrix) > len(names) and matrix[:, len(names) :].any():
        names += [f"output {i}" for i in range(len(names), len(matrix))]
    matrix = matrix[: len(names), : len(names)]
    rows = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    side = float(np.clip(0.42 * len(names), 2.6, 9))
    with plotting.style():
        figure = plotting.new_figure(side + 1.9, side + 1.1)
        axes = figure.subplots()
        picture = axes.imshow(share, vmin=0, vmax=1)
        figure.colorbar(picture, ax=axes, label="share of the true class's examples", shrink=0.8)
        axes.set(xlabel="predicted class", ylabel="true class", title=title)
        if len(names) <= _NAMED:
            axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
            axes.set_yticks(range(len(names)), names)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if len(names) <= _ANNOTATED:
            for i, j in zip(*np.nonzero(matrix), strict=True):
                # cividis is dark below its middle.
                ink = "white" if share[i, j] < 0.5 else "black"
                axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=ink, fontsize=7)
        plotting.save(figure, file)
