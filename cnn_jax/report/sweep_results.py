"""A sweep's `results.json` as a report needs it: arms over their seeds, and means over one or two settings."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.errors import CheckpointError
from cnn_jax.sweep.statistics import CONFIDENCE, Difference, Interval, mean_interval, paired_difference

_NEEDED = {"label", "settings", "seed", "id", "status", "error", "params", "macs", "test_error", "validation_error"}
_NO_AXIS = ("seed", "arm")


class Arm(NamedTuple):
    """Cells that differ in their seed alone.

    Attributes:
        label: what they are called.
        settings: without the seed.
        cells: as `results.json` has them.
        errors: seed -> error of the cells that are done.
    """

    label: str
    settings: Mapping[str, Any]
    cells: Sequence[Mapping[str, Any]]
    errors: Mapping[int, float]

    @property
    def error(self) -> Interval | None:
        """Mean and interval over the seeds; None if no cell is done."""
        return mean_interval(list(self.errors.values())) if self.errors else None


class Axis(NamedTuple):
    """A setting and its values, in the order of the sweep."""

    key: str
    values: tuple[str, ...]


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


def split_of(cells: Sequence[Mapping[str, Any]]) -> str:
    """Whose error is reported: the test split's, or the validation split's where there is no test."""
    return "test" if any(cell["test_error"] is not None for cell in cells) else "validation"


def arms_of(cells: Sequence[Mapping[str, Any]], split: str) -> list[Arm]:
    """The cells over their seeds, the lowest mean error first, those without any last."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for cell in cells:
        own = {key: value for key, value in cell["settings"].items() if key != "seed"}
        groups[json.dumps(own, sort_keys=True)].append(cell)
    arms = []
    for group in groups.values():
        settings = {key: value for key, value in group[0]["settings"].items() if key != "seed"}
        errors = {cell["seed"]: cell[f"{split}_error"] for cell in group if cell[f"{split}_error"] is not None}
        arms.append(Arm(_label(settings), settings, group, errors))
    return sorted(arms, key=lambda arm: (arm.error is None, arm.error.mean if arm.error else 0.0))


def against_best(arms: Sequence[Arm]) -> list[Difference | None]:
    """Each arm's error less the first one's, seed by seed; None where they share no seed.

    As many arms are compared with one, each interval is widened to keep 95% for all of them together (Bonferroni).
    """
    best, others = arms[0], sum(bool(arm.errors) for arm in arms[1:])
    confidence = 1 - (1 - CONFIDENCE) / max(1, others)
    differences: list[Difference | None] = [None]
    for arm in arms[1:]:
        shared = sorted(arm.errors.keys() & best.errors.keys())
        pairs = [arm.errors[seed] for seed in shared], [best.errors[seed] for seed in shared]
        differences.append(paired_difference(*pairs, confidence) if shared else None)
    return differences


def axes_of(cells: Sequence[Mapping[str, Any]]) -> list[Axis]:
    """The settings that take two values or more."""
    keys = dict.fromkeys(key for cell in cells for key in cell["settings"] if key not in _NO_AXIS)
    axes = [Axis(key, tuple(dict.fromkeys(written(cell["settings"].get(key)) for cell in cells))) for key in keys]
    return [axis for axis in axes if len(axis.values) > 1]


def means_over(
    cells: Sequence[Mapping[str, Any]], axes: Sequence[Axis], split: str
) -> dict[tuple[str, ...], tuple[float, int]]:
    """For every combination of values: the mean error of the cells that have it, and how many are done."""
    errors: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for cell in cells:
        error = cell[f"{split}_error"]
        if error is not None:
            errors[tuple(written(cell["settings"].get(axis.key)) for axis in axes)].append(error)
    found = {at: (sum(values) / len(values), len(values)) for at, values in errors.items()}
    return {at: found[at] for at in itertools.product(*(axis.values for axis in axes)) if at in found}


def written(value: Any) -> str:
    """A setting's value in a word."""
    if isinstance(value, list):
        return f"({', '.join(map(str, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def short(key: str) -> str:
    """A key without its group where people know it: `kernel_size` for `model.kernel_size`."""
    return key.removeprefix("model.").replace("optimizer.", "")


def _label(settings: Mapping[str, Any]) -> str:
    if "arm" in settings:
        return str(settings["arm"])
    return ", ".join(f"{short(key)}={written(value)}" for key, value in settings.items()) or "base"
