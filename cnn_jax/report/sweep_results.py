"""A sweep's `results.json` as a report needs it: its settings, and means over one or two of them."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.errors import CheckpointError
from cnn_jax.sweep.arms import ARM, value_at, written

_NEEDED = {"label", "settings", "seed", "id", "status", "error", "params", "macs", "test_error", "validation_error"}
_MOST_VALUES = 10


class Axis(NamedTuple):
    """A setting and its values.

    Attributes:
        key: the setting.
        values: as they are written; numbers by size, others in the order of the sweep.
        searched: whether they are so many numbers that none is met twice for a reason.
    """

    key: str
    values: tuple[str, ...]
    searched: bool


def read_sweep(file: Path) -> dict[str, Any]:
    """Reads a sweep's `results.json`.

    Raises:
        CheckpointError: it is missing, damaged, or of something else.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        cells = document["cells"]
        lacking = [cell for cell in cells if _NEEDED - cell.keys()]
    except OSError as error:
        raise CheckpointError(133, f"{file} cannot be read ({error.strerror}): run the sweep first") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(134, f"{file} is damaged ({error!r}): run the sweep again to rewrite it") from error
    if not cells or lacking:
        raise CheckpointError(134, f"{file} holds no cells of a sweep: run the sweep again to rewrite it")
    return document


def axes_of(cells: Sequence[Mapping[str, Any]]) -> list[Axis]:
    """The settings that take two values or more; where arms have names, these first, and not what a name stands for."""
    settings = [cell["settings"] for cell in cells]
    named = any(ARM in own for own in settings)
    keys = dict.fromkeys([ARM] * named + [key for own in settings for key in own if key != "seed"])
    axes = [_axis(key, settings) for key in keys if key == ARM or not named or _varies_within_arms(key, settings)]
    return [axis for axis in axes if len(axis.values) > 1]


def _varies_within_arms(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    values = {(str(own.get(ARM)), value_at(own, key)) for own in settings}
    return len(values) > len({arm for arm, _ in values})


def _axis(key: str, settings: Sequence[Mapping[str, Any]]) -> Axis:
    numbers = [v for own in settings if isinstance(v := own.get(key), (int, float)) and not isinstance(v, bool)]
    numeric = len(numbers) == len(settings)
    names = map(written, sorted(numbers)) if numeric else (value_at(own, key) for own in settings)
    values = tuple(dict.fromkeys(names))
    return Axis(key, values, numeric and len(values) > _MOST_VALUES)


def means_over(
    cells: Sequence[Mapping[str, Any]], axes: Sequence[Axis], split: str
) -> dict[tuple[str, ...], tuple[float, int]]:
    """For every combination of values: the mean error of the cells that have it, and how many are done."""
    errors: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for cell in cells:
        error = cell[f"{split}_error"]
        if error is not None:
            errors[tuple(value_at(cell["settings"], axis.key) for axis in axes)].append(error)
    found = {at: (sum(values) / len(values), len(values)) for at, values in errors.items()}
    return {at: found[at] for at in itertools.product(*(axis.values for axis in axes)) if at in found}
