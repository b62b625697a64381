"""Each setting of a sweep against error and cost.

Arms that are alike but for the setting are joined by a thin line, and the diamonds are the means of those lines that
have every value: so no value is flattered by what else it came with, where cells are illegal or missing.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from cnn_jax.report.frame import draw_frame, percents
from cnn_jax.report.scale import Scale, log_scale_around
from cnn_jax.report.svg import Drawing
from cnn_jax.report.sweep_figures import link_of, scale_of_errors
from cnn_jax.report.sweep_results import Axis
from cnn_jax.report.words import count, percent, round_count
from cnn_jax.sweep.arms import Arm, short, value_at

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 428, 14, 280
_MOST_WHISKERS = 12
_LOG_FACTOR = 20.0
_LETTER = 7
"""Width of a letter of a tick."""


class SettingFigures(NamedTuple):
    """What is drawn of a setting.

    Attributes:
        figures: inline SVG.
        ticks: the word under each value, from left to right, by the value as it is written: itself, or a number where
            that is too long; empty for a search.
    """

    figures: list[Markup]
    ticks: Mapping[str, str]


class _Across(NamedTuple):
    """The axis of the setting."""

    key: str
    scale: Scale
    places: Mapping[str, float]  # of each value, as it is written
    words: Mapping[float, str]  # of each place; empty where round values have ticks

    def at(self, arm: Arm) -> float:
        return self.scale(self.places[value_at(arm.settings, self.key)])


class _Up(NamedTuple):
    """What stands against it."""

    title: str
    scale: Scale
    value: Callable[[Arm], float]
    word: Callable[[float], str]  # of a tick
    say: Callable[[float], str]  # of a dot


def setting_figures(arms: Sequence[Arm], axis: Axis, axes: Sequence[Axis], split: str) -> SettingFigures:
    """Error and, where they change, multiply-accumulates against one setting.

    Args:
        arms: of the sweep; those without an error are left out.
        axis: the setting.
        axes: all settings of the sweep.
        split: whose error it is.
    """
    measured = [arm for arm in arms if arm.error]
    if not measured:
        return SettingFigures([], {})
    whiskers = _intervals(measured) if len(measured) <= _MOST_WHISKERS else {}
    ends = [end for pair in whiskers.values() for end in pair]
    errors = scale_of_errors([*map(_error, measured), *ends]).over(_BOTTOM, _TOP)
    ups = [_Up(f"{split} error (%)", errors, _error, percents, lambda error: f"{percent(error)} % error")]
    across = _across(measured, axis)
    lines = [[arm] for arm in measured] if axis.searched else _alike(measured, across, axes)
    macs = [_macs(arm) for arm in measured]
    # In a search no two arms are alike but for one setting: whether it is one of the network's has to tell.
    changed = axis.key.startswith("model.") if axis.searched else any(len(set(map(_macs, line))) > 1 for line in lines)
    if changed and min(macs) > 0:
        scale = log_scale_around(macs, _BOTTOM, _TOP)
        ups.append(_Up("MACs per image, logarithmic", scale, _macs, round_count, _said_macs))
    figures = [_panel(across, up, lines, whiskers if up.value is _error else {}) for up in ups]
    ticks = {name: across.words[place] for name, place in across.places.items() if place in across.words}
    return SettingFigures(figures, ticks)


def _across(arms: Sequence[Arm], axis: Axis) -> _Across:
    if axis.searched:  # each value in its place
        places = {value_at(arm.settings, axis.key): float(arm.settings[axis.key]) for arm in arms}
        lo, hi = min(places.values()), max(places.values())
        log = lo > 0 and hi / lo > _LOG_FACTOR
        margin = 0.03 * (hi - lo) or 1.0
        scale = log_scale_around([lo, hi], 0, 1, 1.2) if log else Scale(lo - margin, hi + margin, 0, 1)
        return _Across(axis.key, scale.over(_LEFT, _RIGHT), places, {})
    found = {value_at(arm.settings, axis.key) for arm in arms}
    places = {name: float(place) for place, name in enumerate(value for value in axis.values if value in found)}
    scale = Scale(-0.5, len(places) - 0.5, _LEFT, _RIGHT)
    fit = max(map(len, places)) * _LETTER < (_RIGHT - _LEFT) / len(places)
    words = {place: name if fit else f"{place + 1:g}" for name, place in places.items()}
    return _Across(axis.key, scale, places, words)


def _panel(
    across: _Across, up: _Up, lines: Sequence[Sequence[Arm]], whiskers: Mapping[str, tuple[float, float]]
) -> Markup:
    name, y = short(across.key), up.scale
    drawing = Drawing(440, 332, f"{up.title} against {name}")
    draw_frame(
        drawing, across.scale, y, name + ", logarithmic" * across.scale.log, up.title,
        x_word=lambda place: across.words.get(place, f"{place:g}"), y_word=up.word, x_ticks=list(across.words) or None,
    )  # fmt: skip
    for line in lines:
        if len(line) > 1:
            drawing.line([(across.at(arm), y(up.value(arm))) for arm in line], "other")
    for arm in itertools.chain(*lines):
        for lo, hi in (whiskers[_id(arm)],) if _id(arm) in whiskers else ():
            drawing.line([(across.at(arm), y(lo)), (across.at(arm), y(hi))], "whisker s6")
        words = f"{arm.label}: {up.say(up.value(arm))}"
        drawing.marker((across.at(arm), y(up.value(arm))), 2, 3.6, "dot s6", words, link_of(arm))
    whole = [line for line in lines if len(line) == len(across.places)] if across.words else []
    for column in zip(*whole, strict=True) if len(whole) > 1 else ():
        mean = sum(map(up.value, column)) / len(column)
        drawing.marker((across.at(column[0]), y(mean)), 6, 6, "mean s4", f"mean of {len(column)}: {up.say(mean)}")
    return drawing.svg()


def _alike(arms: Sequence[Arm], across: _Across, axes: Sequence[Axis]) -> list[list[Arm]]:
    """Arms that differ in the setting alone, from left to right."""
    others = [axis.key for axis in axes if axis.key != across.key]
    groups: dict[tuple[str, ...], list[Arm]] = defaultdict(list)
    for arm in sorted(arms, key=across.at):
        groups[tuple(value_at(arm.settings, key) for key in others)].append(arm)
    return list(groups.values())


def _intervals(arms: Sequence[Arm]) -> dict[str, tuple[float, float]]:
    found = ((_id(arm), arm.error) for arm in arms)
    return {i: (error.lo, error.hi) for i, error in found if error and error.lo is not None and error.hi is not None}


def _error(arm: Arm) -> float:
    return arm.error.mean if arm.error else 1.0


def _macs(arm: Arm) -> float:
    return float(arm.cells[0]["macs"])


def _said_macs(macs: float) -> str:
    return f"{count(macs)} MACs"


def _id(arm: Arm) -> str:
    return str(arm.cells[0]["id"])
