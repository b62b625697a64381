"""Sweeps as data: a space is a list of settings, and these functions make larger ones of smaller ones.

    product(axis("model.kernel_size", (3, 5, 7)), seeds(5))                      # 15 settings
    product(named({"ReLU": {"model.activation": "relu"}, "tanh": {"model.activation": "tanh"}}), seeds(5))

An experiment hands them to its `sweep(add)`: `for settings in space: add(**settings)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from cnn_jax.errors import ConfigError

Settings: TypeAlias = dict[str, Any]
"""Keys of a config, dotted, and what they are set to; `LABEL` is what a person calls it."""
Space: TypeAlias = list[Settings]
LABEL = "label"


def axis(key: str, values: Iterable[Any]) -> Space:
    """One key, one value after another."""
    return [{key: value} for value in values]


def seeds(count: int) -> Space:
    """So many seeds, from 0."""
    return axis("seed", range(count))


def fixed(settings: Mapping[str, Any]) -> Space:
    """The one point at which these keys have these values; times it, a space has them everywhere."""
    return [dict(settings)]


def named(arms: Mapping[str, Mapping[str, Any]]) -> Space:
    """Settings that belong together, each under a name, which becomes the cell's label and a column of the results."""
    return [{**settings, LABEL: name} for name, settings in arms.items()]


def product(*spaces: Space) -> Space:
    """Every setting of each with every one of the others; the last varies fastest. Of none: the one empty setting.

    Raises:
        ConfigError: two of them set the same key.
    """
    return [_joined(parts) for parts in itertools.product(*spaces)]


def zipped(*spaces: Space) -> Space:
    """The first of each together, then the second of each, and so on.

    Raises:
        ConfigError: their lengths differ, or two of them set the same key.
    """
    lengths = {len(space) for space in spaces}
    if len(lengths) > 1:
        raise ConfigError(160, f"spaces of {', '.join(map(str, sorted(lengths)))} settings cannot be zipped")
    return [_joined(parts) for parts in zip(*spaces, strict=True)]


def chain(*spaces: Space) -> Space:
    """One space after another. A cell that two of them have is trained once, and bears the label of the first."""
    return list(itertools.chain(*spaces))


def _joined(parts: Iterable[Settings]) -> Settings:
    joined: Settings = {}
    for part in parts:
        twice = (joined.keys() & part.keys()) - {LABEL}
        if twice:
            raise ConfigError(161, f"a sweep sets {', '.join(sorted(twice))} twice in one cell: leave one of them out")
        labels = [settings[LABEL] for settings in (joined, part) if LABEL in settings]
        joined = joined | part | ({LABEL: ", ".join(labels)} if labels else {})
    return joined
