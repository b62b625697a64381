"""Learning curves: one small panel a network, all on the same axes, the others behind it in grey."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cnn_jax.report.figures import error_scale
from cnn_jax.report.results import Network, Results, Run
from cnn_jax.report.scale import Scale
from cnn_jax.report.svg import Drawing, Point
from cnn_jax.report.words import percent

Curve = list[tuple[float, float]]


def curve_panels(results: Results) -> list[tuple[Network, Markup]]:
    """One panel a network that has a curve, in historical order."""
    curves = {n.family: [c for run in n.done if (c := _curve(run, "validation"))] for n in results.networks}
    errors = [error for group in curves.values() for curve in group for _, error in curve]
    epochs = [epoch for group in curves.values() for curve in group for epoch, _ in curve]
    if not errors:
        return []
    x = Scale(0.0, max(epochs), 0.0, 1.0)
    y = error_scale(results, errors, with_chance=False)
    return [
        (network, Markup("").join(_panel(network, number, curves, x, y, narrow) for narrow in (False, True)))
        for number, network in enumerate(results.networks)
        if curves[network.family]
    ]


def _panel(network: Network, number: int, curves: dict[str, list[Curve]], x: Scale, y: Scale, narrow: bool) -> Markup:
    label = f"Error of {network.label} against epochs, on the validation and the training images"
    drawing = Drawing(172, 146, label, "panel narrow") if narrow else Drawing(320, 232, label, "panel wide")
    x, y = (x.over(26, 166), y.over(120, 8)) if narrow else (x.over(42, 312), y.over(184, 10))
    for tick in y.ticks(3 if narrow else 4):
        drawing.line([(x.start, y(tick)), (x.end, y(tick))], "grid")
        drawing.text((x.start - 7, y(tick) + 4.5), f"{100 * tick:.3g}", "tick", "end")
    for tick in x.ticks(2 if narrow else 4):
        drawing.text((x(tick), y.start + 18), f"{tick:g}", "tick")
    if not narrow:  # on phones the caption names the axes
        drawing.text(((x.start + x.end) / 2, y.start + 39), "epochs", "axis")
        drawing.text((11, (y.start + y.end) / 2), "error (%)", "axis", turn=-90)
    for family, group in curves.items():
        if group and family != network.family:
            drawing.line(_on(_mean(group), x, y), "other")
    group = curves[network.family]
    lo, hi = _over_seeds(group, min), _over_seeds(group, max)
    if len(group) > 1:
        drawing.area(_on(hi, x, y), _on(lo, x, y), f"band s{number}")
    train = [c for run in network.done if (c := _curve(run, "train"))]
    if train:
        drawing.line(_on(_mean(train), x, y), f"train s{number}")
    drawing.line(_on(_mean(group), x, y), f"curve s{number}")
    end = _mean(group)[-1]
    drawing.marker((x(end[0]), y(end[1])), number, 5.5, f"mean s{number}", f"{percent(end[1])} % at epoch {end[0]:g}")
    return drawing.svg()


def _curve(run: Run, split: str) -> Curve:
    key = f"{split}_accuracy"
    return [(float(p["epoch"]), 1 - float(p[key])) for p in run.curve if p.get(key) is not None]


def _over_seeds(curves: Sequence[Curve], reduce) -> Curve:
    shared = sorted(set.intersection(*({epoch for epoch, _ in curve} for curve in curves)))
    by_epoch = [dict(curve) for curve in curves]
    return [(epoch, reduce([curve[epoch] for curve in by_epoch])) for epoch in shared]


def _mean(curves: Sequence[Curve]) -> Curve:
    return _over_seeds(curves, lambda values: sum(values) / len(values))


def _on(curve: Curve, x: Scale, y: Scale) -> list[Point]:
    return [(x(epoch), y(error)) for epoch, error in curve]
