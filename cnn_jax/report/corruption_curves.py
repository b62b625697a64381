"""The figure of errors on corrupted images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax import plotting


def draw_corruptions(
    file: Path, clean: Mapping[str, Any], corruptions: Mapping[str, Sequence[Mapping[str, Any]]], title: str
) -> None:
    """Draws the error against the severity, one line a corruption, with 95% intervals.

    Args:
        file: the picture to write.
        clean: `accuracy`, `lo` and `hi` without corruption, severity 0.
        corruptions: by name, the same of severities 1 to 5.
        title: of the figure.
    """
    with plotting.style():
        figure = plotting.new_figure(5.2, 3.4)
        axes = figure.subplots()
        for (name, rows), colour, marker in zip(corruptions.items(), plotting.PALETTE, plotting.MARKERS, strict=False):
            points = [clean, *rows]
            severity = range(len(points))
            axes.plot(
                severity,
                [100 * (1 - p["accuracy"]) for p in points],
                color=colour,
                marker=marker,
                markersize=4,
                linewidth=1.2,
                label=name.replace("_", " "),
            )
            axes.fill_between(
                severity,
                [100 * (1 - p["hi"]) for p in points],
                [100 * (1 - p["lo"]) for p in points],
                color=colour,
                alpha=0.12,
                linewidth=0,
            )
        axes.set(xlabel="severity (0: as it is)", ylabel="top-1 error in %, 95% interval", title=title, ylim=(0, None))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        plotting.save(figure, file)
