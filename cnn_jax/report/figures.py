"""The report's figures, as inline SVG: error against year, and size and cost against error."""

from __future__ import annotations

import math
from collections.abc import Callable

from markupsafe import Markup

from cnn_jax.report.labels import place_labels
from cnn_jax.report.links import run_link
from cnn_jax.report.results import Network, Results, Run
from cnn_jax.report.scale import Scale, log_scale_around
from cnn_jax.report.svg import MARKERS, Drawing, Point
from cnn_jax.report.words import count, digits_for, percent, round_count

# Errors that span more than this factor are drawn on a logarithmic axis: MNIST's, but not those of `shapes`.
LOG_FACTOR = 20.0


def error_scale(results: Results, values: list[float], with_chance: bool = True) -> Scale:
    """The axis for errors, from 0 to 1 of its own coordinates; logarithmic when they span much."""
    chance = [results.chance_error] if with_chance else []
    most, least = max([*values, *chance], default=1.0), min(values, default=1.0)
    if 0 < least < most / LOG_FACTOR:
        return Scale(least / 1.4, min(most * 1.15, 1.0), 0.0, 1.0, log=True)
    return Scale(0.0, min(most * 1.06, 1.0) or 1.0, 0.0, 1.0)


def year_figure(results: Results) -> Markup:
    """Error against year, networks from left to right in historical order; for wide screens."""
    width, height, left, right, top, bottom = 1040, 470, 64, 1024, 22, 398
    drawing = Drawing(width, height, "Test error of each network against its year", "chart wide")
    y = error_scale(results, _test_errors(results)).over(bottom, top)
    for tick in y.ticks(6):
        drawing.line([(left, y(tick)), (right, y(tick))], "grid")
        drawing.text((left - 10, y(tick) + 5), f"{100 * tick:.3g}", "tick", "end")
    drawing.text((16, (top + bottom) / 2), _error_title(results, y), "axis", turn=-90)
    step = (right - left) / len(results.networks)
    x = {network.family: left + (k + 0.42) * step for k, network in enumerate(results.networks)}
    above = -math.inf
    for value, words in _levels(results):
        drawing.line([(left, y(value)), (right, y(value))], "level")
        close = y(value) - above < 22  # a linear classifier hardly better than guessing: its words go below its line
        drawing.text((right, y(value) + (17 if close else -6)), words, "note", "end")
        above = y(value)
    means = [(x[n.family], y(n.test_error.mean)) for n in results.measured if n.test_error]
    drawing.line(means, "thread")
    for k, network in enumerate(results.networks):
        at = x[network.family]
        drawing.text((at, bottom + 26), network.label, f"name s{k}")
        drawing.text((at, bottom + 46), str(network.year), "tick")
        interval, digits = network.test_error, _digits(results)
        if interval is None:
            drawing.text((at, bottom - 12), network.runs[0].status if network.runs else "missing", "note")
            continue
        if interval.lo is not None and interval.hi is not None:
            _whisker(drawing, (at, y(interval.lo)), (at, y(interval.hi)), f"whisker s{k}")
        for j, run in enumerate(network.done):
            _dot(drawing, (at + 17 + 9 * j * min(1.0, 3 / len(network.done)), y(run.test_error())), network, run, k)
        drawing.marker(
            (at, y(interval.mean)), k, 7.5, f"mean s{k}", f"{network.label}: mean {percent(interval.mean)} %"
        )
        drawing.text((at - 13, y(interval.mean) + 5), percent(interval.mean, digits), "value", "end")
    return drawing.svg()


def year_figure_narrow(results: Results) -> Markup:
    """The same for phones: networks from top to bottom in historical order."""
    row, left, right, top = 50, 112, 348, 40
    bottom = top + row * len(results.networks)
    drawing = Drawing(360, bottom + 50, "Test error of each network against its year", "chart narrow")
    x = error_scale(results, _test_errors(results)).over(left, right)
    for tick in x.ticks(4):
        drawing.line([(x(tick), top), (x(tick), bottom)], "grid")
        drawing.text((x(tick), bottom + 18), f"{100 * tick:.3g}", "tick")
    drawing.text(((left + right) / 2, bottom + 40), _error_title(results, x), "axis")
    for j, (value, words) in enumerate(_levels(results)):
        drawing.line([(x(value), top - 14 + 18 * j), (x(value), bottom)], "level")
        drawing.text((x(value) - 5, top - 18 + 18 * j), words, "note", "end")
    for k, network in enumerate(results.networks):
        at = top + (k + 0.5) * row
        lines = network.label.split(maxsplit=1)
        for j, words in enumerate(lines):
            drawing.text((left - 14, at + 15 * j - 8 * (len(lines) - 1)), words, f"name s{k}", "end")
        drawing.text((left - 14, at + 15 * len(lines) - 8 * (len(lines) - 1)), str(network.year), "tick", "end")
        interval, digits = network.test_error, _digits(results)
        if interval is None:
            drawing.text((left + 8, at + 5), network.runs[0].status if network.runs else "missing", "note", "start")
            continue
        if interval.lo is not None and interval.hi is not None:
            _whisker(drawing, (x(interval.lo), at), (x(interval.hi), at), f"whisker s{k}")
        for run in network.done:
            _dot(drawing, (x(run.test_error()), at + 14), network, run, k)
        drawing.marker((x(interval.mean), at), k, 7, f"mean s{k}", f"{network.label}: mean {percent(interval.mean)} %")
        drawing.text((x(interval.mean), at - 11), percent(interval.mean, digits), "value")
    return drawing.svg()


def size_figure(results: Results) -> Markup:
    """Trainable parameters against test error."""
    return _against(results, lambda network: network.params, "trainable parameters")


def cost_figure(results: Results) -> Markup:
    """Multiply-accumulates of one image against test error."""
    return _against(results, lambda network: network.macs, "multiply-accumulates (MACs) per image")


def _against(results: Results, amount: Callable[[Network], int], name: str) -> Markup:
    left, right, top, bottom = 52, 428, 14, 300
    drawing = Drawing(440, 352, f"Test error against {name}")
    networks = results.measured
    means = [n.test_error.mean for n in networks if n.test_error]
    y = error_scale(results, _test_errors(results), with_chance=False).over(bottom, top)
    x = log_scale_around([amount(network) for network in networks] or [1], left, right - 14)
    for tick in y.ticks(5):
        drawing.line([(left, y(tick)), (right, y(tick))], "grid")
        drawing.text((left - 8, y(tick) + 4.5), f"{100 * tick:.3g}", "tick", "end")
    for tick in x.ticks():
        drawing.line([(x(tick), top), (x(tick), bottom)], "grid")
        drawing.text((x(tick), bottom + 19), round_count(tick), "tick")
    drawing.text(((left + right) / 2, bottom + 43), f"{name}, logarithmic", "axis")
    drawing.text((13, (top + bottom) / 2), _error_title(results, y), "axis", turn=-90)
    points: list[Point] = [(x(amount(n)), y(mean)) for n, mean in zip(networks, means, strict=True)]
    whiskers = [
        (px - 6, y(n.test_error.hi), px + 6, y(n.test_error.lo))
        for n, (px, _) in zip(networks, points, strict=True)
        if n.test_error and n.test_error.lo is not None and n.test_error.hi is not None
    ]
    labels = place_labels(points, [n.label for n in networks], whiskers, (left, top, 436, bottom), 13)
    numbers = {network.family: k for k, network in enumerate(results.networks)}
    for network, point, (at, anchor) in zip(networks, points, labels, strict=True):
        k, interval = numbers[network.family], network.test_error
        if interval and interval.lo is not None and interval.hi is not None:
            _whisker(drawing, (point[0], y(interval.lo)), (point[0], y(interval.hi)), f"whisker s{k}")
        words = f"{network.label}: {count(amount(network))} {name}, {percent(interval and interval.mean)} % error"
        drawing.marker(point, k, 7, f"mean s{k}", words)
        drawing.text(at, network.label, f"name s{k}", anchor)
    return drawing.svg()


def marker_icon(number: int) -> Markup:
    """A network's marker, for tables."""
    drawing = Drawing(16, 16, "", "icon")
    drawing.marker((8, 8), number, 5.2, f"mean s{number % len(MARKERS)}")
    return drawing.svg()


def _whisker(drawing: Drawing, lo: Point, hi: Point, style: str) -> None:
    drawing.line([lo, hi], style)
    across = (0, 5) if lo[1] == hi[1] else (5, 0)
    for end in (lo, hi):
        drawing.line([(end[0] - across[0], end[1] - across[1]), (end[0] + across[0], end[1] + across[1])], style)


def _dot(drawing: Drawing, at: Point, network: Network, run: Run, number: int) -> None:
    words = f"{network.label}, seed {run.seed}: {percent(run.test_error())} % test error"
    drawing.marker(at, 2, 3.6, f"dot s{number}", words, run_link(run))


def _levels(results: Results) -> list[tuple[float, str]]:
    levels = [(results.chance_error, f"guessing {percent(results.chance_error)} %")]
    linear = next((n for n in results.measured if n.family == "linear"), None)
    if linear and linear.test_error:
        levels.append((linear.test_error.mean, f"linear {percent(linear.test_error.mean)} %"))
    return levels


def _digits(results: Results) -> int:
    best = results.best
    return digits_for(best.test_error.mean) if best and best.test_error else 1


def _error_title(results: Results, scale: Scale) -> str:
    return "test error (%)" + (", logarithmic" if scale.log else "")


def _test_errors(results: Results) -> list[float]:
    values = [run.test_error() for network in results.measured for run in network.done]
    for network in results.measured:
        interval = network.test_error
        if interval and interval.lo is not None and interval.hi is not None:
            values += [max(interval.lo, 0.6 * interval.mean), min(interval.hi, 1.0)]
    return values
