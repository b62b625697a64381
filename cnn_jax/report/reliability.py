"""The figure of a reliability diagram (Guo et al. 2017, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn_jax import plotting
from cnn_jax.evaluate.calibration import Bin


def draw_reliability(file: Path, diagram: Sequence[Bin], ece: float, title: str) -> None:
    """Draws accuracy against confidence with 95% intervals (Wilson), and below how many examples each bin has.

    Args:
        file: the picture to write.
        diagram: the bins.
        ece: expected calibration error, written into the figure.
        title: of the figure.
    """
    from scipy.stats import binomtest

    full = [bar for bar in diagram if bar.n]
    x = np.array([bar.confidence for bar in full], float)
    y = np.array([bar.accuracy for bar in full], float)
    tests = [binomtest(round(bar.n * bar.accuracy), bar.n) for bar in full if bar.accuracy is not None]
    ends = [test.proportion_ci(0.95, method="wilson") for test in tests]
    reach = np.array([(max(0.0, a - e.low), max(0.0, e.high - a)) for a, e in zip(y, ends, strict=True)]).T
    blue, orange = plotting.PALETTE[1], plotting.PALETTE[2]
    with plotting.style():
        figure = plotting.new_figure(4.2, 5.2)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="calibrated")
        above.errorbar(x, y, reach, color=blue, marker="o", markersize=4, linewidth=1, capsize=2, label="accuracy, 95%")
        above.vlines(x, np.minimum(x, y), np.maximum(x, y), color=orange, linewidth=3, alpha=0.5, label="gap")
        above.set(ylabel="accuracy", ylim=(0, 1.02))
        above.set_title(title, pad=24)
        above.text(0.98, 0.04, f"ECE {ece:.4f}, {len(diagram)} bins", ha="right", transform=above.transAxes)
        # Above the axes: inside them every corner may hold points.
        above.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, columnspacing=1.2, handlelength=1.6)
        edges = [bar.lo for bar in diagram]
        counts = [bar.n for bar in diagram]
        below.bar(edges, counts, width=1 / len(diagram), align="edge", color="0.75", edgecolor="white")
        for bar in full:
            middle = (bar.lo + bar.hi) / 2
            below.text(middle, bar.n, f" {bar.n}", ha="center", va="bottom", fontsize=6, rotation=90)
        below.set(xlabel="confidence: probability of the predicted class", ylabel="examples", xlim=(0, 1))
        below.set_ylim(0, max(counts) * 1.45)
        plotting.save(figure, file)
