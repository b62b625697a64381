"""Error of a sweep's arms against what they cost."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cnn_jax.report.frame import draw_frame, percents
from cnn_jax.report.scale import Scale, log_scale_around
from cnn_jax.report.svg import Drawing
from cnn_jax.report.words import count, percent, round_count
from cnn_jax.sweep.arms import Arm


def cost_figure(arms: Sequence[Arm], split: str) -> Markup | None:
    """Mean error of every arm against the multiply-accumulates of one image; None where all cost the same."""
    points = [(arm, arm.cells[0]["macs"], arm.error.mean) for arm in arms if arm.error and arm.cells[0]["macs"] > 0]
    if len({macs for _, macs, _ in points}) < 2:
        return None
    drawing = Drawing(720, 392, f"{split} error against multiply-accumulates")
    x = log_scale_around([macs for _, macs, _ in points], 58, 708)
    y = scale_of_errors([error for _, _, error in points]).over(340, 14)
    title = "multiply-accumulates (MACs) per image, logarithmic"
    draw_frame(drawing, x, y, title, f"{split} error (%)", x_word=round_count, y_word=percents)
    for arm, macs, error in points:
        words = f"{arm.label}: {count(macs)} MACs, {percent(error)} % error"
        drawing.marker((x(macs), y(error)), 2, 4, "dot s6", words, link_of(arm))
    return drawing.svg()


def scale_of_errors(values: Sequence[float]) -> Scale:
    """An axis from the lowest to the highest error, with a margin, from 0 to 1 of its own coordinates."""
    lo, hi = max(0.0, min(values)), min(1.0, max(values))
    margin = max(0.01, 0.05 * (hi - lo))
    return Scale(max(0.0, lo - margin), min(1.0, hi + margin), 0.0, 1.0)


def link_of(arm: Arm) -> str:
    """From the report to the arm's first run."""
    return f"{arm.cells[0]['id']}/"
