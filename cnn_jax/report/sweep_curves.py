"""Learning curves of a sweep: one small panel an arm, all on the same axes, the others behind it in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from cnn_jax.report.frame import percents
from cnn_jax.report.scale import Scale
from cnn_jax.report.svg import Drawing, Point
from cnn_jax.report.sweep_figures import scale_of_errors
from cnn_jax.report.words import percent, round_count
from cnn_jax.sweep.arms import Arm
from cnn_jax.sweep.statistics import Interval, mean_interval

MOST = 12
"""Arms that have a panel: those with the lowest error."""
_BAND = "band s6"

Curve = Mapping[int, Interval]
"""Mean error over seeds, by step."""


class Panel(NamedTuple):
    """An arm's learning curves.

    Attributes:
        label: the arm's.
        figures: inline SVG, for wide screens and for narrow ones.
    """

    label: str
    figures: Markup


class _Curves(NamedTuple):
    validation: Curve
    train: Curve

    @property
    def main(self) -> Curve:
        """The one that has a band, and stands behind those of other arms; validation if it began before half time."""
        early = bool(self.validation) and 2 * min(self.validation) <= max(self.validation)
        return self.validation if early or not self.train else self.train


def curve_panels(arms: Sequence[Arm], workdir: Path) -> list[Panel]:
    """Validation and training error of each arm by step, means over seeds with bands of 95%.

    Args:
        arms: the lowest error first.
        workdir: of the sweep, which holds its runs; an arm whose runs have left no curves has no panel.
    """
    read = [(arm, _curves(arm, workdir)) for arm in arms if arm.errors][:MOST]
    drawn = [(arm.label, curves) for arm, curves in read if len(curves.main) > 1]
    if not drawn:
        return []
    arms_curves = [curves for _, curves in drawn]
    every = [curve for curves in arms_curves for curve in curves]
    x = Scale(0.0, float(max(step for curve in every for step in curve)), 0.0, 1.0)
    y = scale_of_errors([interval.mean for curve in every for interval in curve.values()])
    panels = []
    for number, (label, _) in enumerate(drawn):
        both = (_panel(label, number, arms_curves, x, y, narrow) for narrow in (False, True))
        panels.append(Panel(label, Markup("").join(both)))
    return panels


def _panel(label: str, number: int, arms: Sequence[_Curves], x: Scale, y: Scale, narrow: bool) -> Markup:
    words = f"Error of {label} against steps, on the validation and the training images"
    drawing = Drawing(172, 146, words, "panel narrow") if narrow else Drawing(320, 232, words, "panel wide")
    x, y = (x.over(30, 166), y.over(120, 8)) if narrow else (x.over(42, 312), y.over(184, 10))
    for tick in y.ticks(3 if narrow else 4):
        drawing.line([(x.start, y(tick)), (x.end, y(tick))], "grid")
        drawing.text((x.start - 7, y(tick) + 4.5), percents(tick), "tick", "end")
    for tick in x.ticks(2 if narrow else 4):
        drawing.text((x(tick), y.start + 18), round_count(tick), "tick")
    if not narrow:  # on phones the caption names the axes
        drawing.text(((x.start + x.end) / 2, y.start + 39), "steps", "axis")
        drawing.text((11, (y.start + y.end) / 2), "error (%)", "axis", turn=-90)
    own = arms[number]
    for other in arms:
        if other is not own:
            drawing.line(_on(other.main, x, y), "other")
    ends = {step: (at.lo, at.hi) for step, at in own.main.items() if at.lo is not None and at.hi is not None}
    drawing.area([(x(s), y(hi)) for s, (_, hi) in ends.items()], [(x(s), y(lo)) for s, (lo, _) in ends.items()], _BAND)
    drawing.line(_on(own.train, x, y), "train s6")
    drawing.line(_on(own.validation, x, y), "curve s6")
    step, last = list((own.validation or own.train).items())[-1]
    drawing.marker((x(step), y(last.mean)), 2, 5, "mean s6", f"{percent(last.mean)} % at step {step:,}")
    return drawing.svg()


def _curves(arm: Arm, workdir: Path) -> _Curves:
    """An arm's curves over its seeds, at the steps at which all of them have one."""
    from cnn_jax.train.metrics import METRICS, read_metrics  # and with it JAX, a second

    runs = [workdir / str(cell["id"]) for cell in arm.cells if cell["seed"] in arm.errors]
    lines = [read_metrics(run) if (run / METRICS).is_file() else [] for run in runs]
    return _Curves(*(_over_seeds([_errors(own, split) for own in lines]) for split in ("validation", "train")))


def _errors(lines: Sequence[Mapping[str, Any]], split: str) -> dict[int, float]:
    own = (line for line in lines if line["split"] == split and line.get("accuracy") is not None)
    return {line["step"]: 1 - line["accuracy"] for line in own}


def _over_seeds(curves: Sequence[Mapping[int, float]]) -> Curve:
    shared = sorted(set.intersection(*map(set, curves)))
    return {step: mean_interval([curve[step] for curve in curves]) for step in shared}


def _on(curve: Curve, x: Scale, y: Scale) -> list[Point]:
    return [(x(step), y(interval.mean)) for step, interval in curve.items()]
