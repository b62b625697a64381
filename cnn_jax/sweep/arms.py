"""Cells over their seeds: what each arm of a sweep comes to, and how far it is from the best."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnn_jax.sweep.statistics import (
    CONFIDENCE,
    Difference,
    Interval,
    bootstrap_interval,
    mean_interval,
    paired_difference,
    pairs_needed,
)

ARM = "arm"
"""Where the name that an experiment gives to settings stands among a cell's settings."""


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

    @property
    def bootstrap(self) -> Interval | None:
        """The same with the bootstrap's interval."""
        return bootstrap_interval(list(self.errors.values())) if self.errors else None


def split_of(cells: Sequence[Mapping[str, Any]]) -> str:
    """Whose error is reported: the test split's, or the validation split's where there is no test."""
    return "test" if any(cell["test_error"] is not None for cell in cells) else "validation"


def arms_of(cells: Sequence[Mapping[str, Any]], split: str) -> list[Arm]:
    """The cells over their seeds, the lowest mean error first, those without any last."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for cell in cells:
        own = {key: value for key, value in cell["settings"].items() if key != "seed"}
        groups[json.dumps(own, sort_keys=True)].append(cell)
    every = [{key: value for key, value in group[0]["settings"].items() if key != "seed"} for group in groups.values()]
    arms = []
    for settings, group in zip(every, groups.values(), strict=True):
        errors = {cell["seed"]: cell[f"{split}_error"] for cell in group if cell[f"{split}_error"] is not None}
        arms.append(Arm(_label(settings, every), settings, group, errors))
    return sorted(arms, key=lambda arm: (arm.error is None, arm.error.mean if arm.error else 0.0))


def against_best(arms: Sequence[Arm]) -> list[Difference | None]:
    """Each arm's error less the first one's, seed by seed; None where they share no seed.

    As many arms are compared with one, each interval is widened to keep 95% for all of them together (Bonferroni).
    """
    confidence = _confidence(arms)
    differences = []
    for arm in arms:
        best = arms[0].errors if arm is not arms[0] else {}  # it is not compared with itself
        shared = sorted(arm.errors.keys() & best.keys())
        pairs = [arm.errors[seed] for seed in shared], [best[seed] for seed in shared]
        differences.append(paired_difference(*pairs, confidence) if shared else None)
    return differences


def seeds_needed(difference: Difference, arms: Sequence[Arm]) -> int | None:
    """How many seeds would separate an arm from the first, if they differ as much as was found (`pairs_needed`).

    None where they are separated, where one or two seeds do not tell how much they vary, and where ten thousand
    are too few.
    """
    if difference.separated or difference.effect is None:
        return None
    return pairs_needed(difference.effect, _confidence(arms))


def summary(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for every arm, the lowest mean error first: the statistics of `results.json` and `arms.csv`.

    Args:
        cells: of `results.json`.

    Returns:
        Rows of `settings` (without the seed), `label`, `params`, `macs`, `receptive_field`; `n` seeds of which `split`
        has an error; its mean `error`, the ends of its t interval, `error_lo` and `error_hi`, and of the bootstrap's;
        then the `difference` from the first arm, paired by seed, with the ends of its corrected interval, its
        `effect_size`, whether it is `separated`, and if not how many `seeds_needed` would separate it.
    """
    split = split_of(cells)
    arms = arms_of(cells, split)
    return [
        {
            "settings": dict(arm.settings),
            "label": arm.label,
            **{key: arm.cells[0].get(key) for key in ("params", "macs", "receptive_field")},
            "split": split,
            "n": len(arm.errors),
            "error": arm.error and arm.error.mean,
            **_ends("error", arm.error),
            **_ends("bootstrap", arm.bootstrap),
            "difference": difference and difference.mean,
            **_ends("difference", difference),
            "effect_size": difference and difference.effect,
            "separated": difference and difference.separated,
            "seeds_needed": difference and seeds_needed(difference, arms),
        }
        for arm, difference in zip(arms, against_best(arms), strict=True)
    ]


def written(value: Any) -> str:
    """A setting's value in a word."""
    if isinstance(value, list):
        return f"({', '.join(map(str, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def value_at(settings: Mapping[str, Any], key: str) -> str:
    """The value of a setting in a word; `default` where an arm does not say."""
    return written(settings[key]) if key in settings else "default"


def short(key: str) -> str:
    """A key without its group where people know it: `kernel_size` for `model.kernel_size`."""
    return key.removeprefix("model.").replace("optimizer.", "")


def _label(settings: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> str:
    """The name that the experiment gives it, with the settings in which others of that name differ."""
    name = settings.get(ARM)
    alike = [other for other in every if other.get(ARM) == name]
    told = [
        f"{short(key)}={written(value)}"
        for key, value in settings.items()
        if key != ARM and (name is None or any(other.get(key) != value for other in alike))
    ]
    return ", ".join(told if name is None else [str(name), *told]) or "base"


def _confidence(arms: Sequence[Arm]) -> float:
    """Of each comparison with the first arm, so that all of them hold together."""
    return 1 - (1 - CONFIDENCE) / max(1, sum(bool(arm.errors) for arm in arms[1:]))


def _ends(name: str, found: Interval | Difference | None) -> dict[str, float | None]:
    return {f"{name}_lo": found and found.lo, f"{name}_hi": found and found.hi}
