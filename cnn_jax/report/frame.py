"""The frame of a figure: grid, ticks and the titles of both axes."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.report.scale import Scale
from cnn_jax.report.svg import Drawing


def draw_frame(
    drawing: Drawing,
    x: Scale,
    y: Scale,
    x_title: str,
    y_title: str,
    *,
    x_word: Callable[[float], str],
    y_word: Callable[[float], str],
    x_ticks: list[float] | None = None,
) -> None:
    """Draws what a figure stands on.

    Args:
        drawing: with room for ticks and titles: 50 units below the axes, 58 to their left.
        x: the axis across.
        y: the axis up.
        x_title: what it counts.
        y_title: what it counts.
        x_word: a tick across in a word.
        y_word: a tick up in a word.
        x_ticks: where ticks stand across; round values if not given.
    """
    for tick in y.ticks(5):
        drawing.line([(x.start, y(tick)), (x.end, y(tick))], "grid")
        drawing.text((x.start - 8, y(tick) + 4.5), y_word(tick), "tick", "end")
    for tick in x.ticks() if x_ticks is None else x_ticks:
        drawing.line([(x(tick), y.end), (x(tick), y.start)], "grid")
        drawing.text((x(tick), y.start + 19), x_word(tick), "tick")
    drawing.text(((x.start + x.end) / 2, y.start + 43), x_title, "axis")
    drawing.text((13, (y.start + y.end) / 2), y_title, "axis", turn=-90)


def percents(share: float) -> str:
    """A share as the tick of an axis in per cent."""
    return f"{100 * share:.3g}"
