"""From an experiment file to the cells of its sweep, and the geometry of all of them before any runs."""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cnn_jax import analysis
from cnn_jax.config import load_config, override, resolve, to_dict
from cnn_jax.errors import ConfigError
from cnn_jax.sweep.cells import Cell
from cnn_jax.train.loop import load_config_data

# What a data set gives without being read.
_KNOWN_SHAPES = {"shapes": (32, 32, 3), "shapes:32": (32, 32, 3), "shapes:tiny": (32, 32, 3), "shapes:64": (64, 64, 3)}


def read_experiment(path: str | Path) -> list[Cell]:
    """The cells of an experiment, one for each call of `add` that its `sweep(add)` makes.

    Args:
        path: a file with `get_config()` and `sweep(add)`; `add(**{"model.kernel_size": 7, ...})` sets keys of that
            config.

    Raises:
        ConfigError: the file is missing, defines no sweep, or sets a key that does not exist.
    """
    file = Path(path)
    base = load_config(file)
    sweep = runpy.run_path(str(file)).get("sweep")
    if sweep is None:
        raise ConfigError(16, f"experiment {file} defines no sweep(add)")
    cells: list[Cell] = []

    def add(**settings: Any) -> None:
        flat = override(base, []) | override(settings, [])
        label = ", ".join(f"{key.removeprefix('model.')}={value}" for key, value in settings.items())
        cells.append(Cell(resolve(flat), label or "base"))

    sweep(add)
    if not cells:
        raise ConfigError(16, f"experiment {file} has a sweep(add) that adds no cell")
    return cells


def read_config_cell(path: str | Path, overrides: Iterable[str] = ()) -> list[Cell]:
    """One config as a sweep of one cell."""
    config = load_config(path, overrides)
    return [Cell(config, config.model.name)]


def check_cells(cells: Sequence[Cell], *, strict: bool = False) -> list[Any]:
    """The cells whose network has no output at its image size, as `analysis.Problem`s; nothing is trained.

    Under `strict` a stride that leaves a remainder is a problem as well.

    Raises:
        DataError: the data has to be read to know the size of its images, and cannot be.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    named = (analysis.Cell(cell.label, _name(cell.config), _shape(cell.config, shapes)) for cell in cells)
    return analysis.check(named, strict=strict)


def _name(config: Any) -> str:
    """The model with its keywords, written as one name."""
    keywords = to_dict(config)["model"]
    name = keywords.pop("name")
    return ",".join([name, *(f"{key}={_written(value)}" for key, value in keywords.items())])


def _written(value: Any) -> str:
    return f"({','.join(map(str, value))})" if isinstance(value, list) else str(value)


def _shape(config: Any, known: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    if config.data in _KNOWN_SHAPES and config.image_size is None:
        return _KNOWN_SHAPES[config.data]
    key = f"{config.data} {config.image_size} {config.fit}"
    if key not in known:
        known[key] = load_config_data(config).image_shape
    return known[key]
