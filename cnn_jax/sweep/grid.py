"""From an experiment file to the cells of its sweep, and the geometry of all of them before any runs."""

from __future__ import annotations

import dataclasses
import inspect
import runpy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax import analysis
from cnn_jax.config import load_config, override, resolve, to_dict
from cnn_jax.errors import CnnJaxError, ConfigError
from cnn_jax.sweep import hyper
from cnn_jax.sweep.arms import ARM
from cnn_jax.sweep.cells import Cell, fault_in
from cnn_jax.sweep.images import Images, images_of
from cnn_jax.sweep.space import LABEL, Settings, Space
from cnn_jax.train.kept import Shelf


def read_experiment(path: str | Path, overrides: Iterable[str] = ()) -> list[Cell]:
    """The cells of an experiment, in the order in which it names them; equal ones once.

    Args:
        path: a file with `get_config(arg="")` and either `sweep(add)`, which calls `add(**{"model.kernel_size": 7,
            ...})` for each cell, or `get_hyper(hyper)`, which returns them all; `FILE.py:ARG` hands `get_config` an
            argument, and the other function if it takes a second one. `label` among the settings is what a person calls
            the cell.
        overrides: `KEY=VALUE` for the config that the cells are changes of.

    Raises:
        ConfigError: the file is missing, defines no sweep, or sets a key that does not exist; or an override of a key
            that the sweep sets.
    """
    file, overrides = experiment_file(path), tuple(overrides)
    base = load_config(path, overrides)
    space = _space(file, str(path).partition(".py:")[2])
    if not space:
        raise ConfigError(16, f"experiment {file} has a sweep that adds no cell")
    swept = {key for settings in space for key in settings}
    for text in overrides:
        key = text.removeprefix("--").removeprefix("config.").partition("=")[0]
        if key in swept:
            raise ConfigError(150, f"--config.{text}: the sweep of {file} sets {key} itself; edit the file")
    cells: dict[str, Cell] = {}
    for settings, label in zip(space, _labels(space), strict=True):
        own = {key: value for key, value in settings.items() if key != LABEL}
        # A length replaces the file's, as it does on the command line.
        lengths = [key for key in ("total_steps", "total_epochs", "total_examples") if own.get(key) is not None]
        flat = {k: v for k, v in override(base, []).items() if not (lengths and k.startswith("total_"))}
        cell = Cell(resolve(flat | override(own, [])), label, {**own, **_named(settings)})
        cells.setdefault(cell.id, cell)
    return list(cells.values())


def read_config_cell(path: str | Path, overrides: Iterable[str] = ()) -> list[Cell]:
    """One config as a sweep of one cell."""
    config = load_config(path, overrides)
    return [Cell(config, config.model.name)]


def check_cells(
    cells: Sequence[Cell], *, strict: bool = False, known: dict[str, Images] | None = None
) -> dict[str, Any]:
    """The cells whose network has no output at its image size, as `analysis.Problem`s by the cell's id.

    Nothing is trained, and networks that are equal are traced once. A problem names legal neighbours: changes of its
    own found by tracing for the first few, otherwise the nearest legal cell of the same sweep.

    Args:
        cells: what to check.
        strict: a stride that leaves a remainder is a problem as well.
        known: what is known of the data sets; what is looked up is put there.

    Raises:
        DataError: the data has to be read to know the size of its images, and cannot be.
    """
    known = {} if known is None else known
    named = (
        analysis.Cell(cell.id, model_name(cell.config), images.shape)
        for cell in cells
        for images in (images_of(cell.config, known),)
        if strict or not network_shelf(cell.config, images).has(TOTALS)
    )
    problems = {problem.cell: problem for problem in analysis.check(named, strict=strict)}
    legal = [cell for cell in cells if cell.id not in problems]
    found = {}
    for cell in cells:
        problem = problems.get(cell.id)
        if problem is not None:
            neighbours = problem.neighbours or _nearest(cell, legal)
            found[cell.id] = dataclasses.replace(problem, cell=cell.label, neighbours=neighbours)
    return found


TOTALS = "totals"
"""Under this name the totals of a network are kept; a network that has them is legal."""


def network_shelf(config: Any, images: Images) -> Shelf:
    """What is kept of the network of a cell for the next launch of its sweep, beside its programs."""
    return Shelf("network", model_name(config), str(images.shape), str(images.classes))


def model_name(config: Any) -> str:
    """The model with its keywords, written as one name."""
    keywords = to_dict(config)["model"]
    name = keywords.pop("name")
    return ",".join([name, *(f"{key}={_written(value)}" for key, value in keywords.items())])


def experiment_file(path: str | Path) -> Path:
    """The file of an experiment that may be given with an argument, FILE.py:ARG."""
    name, _, arg = str(path).partition(".py:")
    return Path(name + ".py") if arg else Path(path)


def _space(file: Path, arg: str) -> Space:
    names = runpy.run_path(str(file))
    sweep, get_hyper = names.get("sweep"), names.get("get_hyper")
    if (sweep is None) == (get_hyper is None):
        what = "no sweep(add), and no get_hyper(hyper)" if sweep is None else "both sweep(add) and get_hyper(hyper)"
        raise ConfigError(16, f"experiment {file} defines {what}: define one of them")
    added: Space = []
    if sweep is not None:
        _call(file, lambda: sweep(lambda **settings: added.append(settings), *_taken(sweep, arg)))
    else:
        assert get_hyper is not None
        _call(file, lambda: added.extend(hyper.finished(get_hyper(hyper, *_taken(get_hyper, arg)))))
    return added


def _taken(function: Callable[..., Any], arg: str) -> tuple[str, ...]:
    """The experiment's argument, for a function that takes it beside its first one."""
    return (arg,) if len(inspect.signature(function).parameters) > 1 else ()


def _call(file: Path, function: Callable[[], None]) -> None:
    """Calls what a user wrote; a fault in it is theirs and is named with its line."""
    try:
        function()
    except CnnJaxError:
        raise
    except Exception as error:
        raise ConfigError(151, f"experiment {file}, {fault_in(file, error)}") from error


def _labels(space: Space) -> list[str]:
    """What a person calls each cell: its own label if it has one, and the settings in which its likes differ."""
    alike: dict[str | None, Space] = defaultdict(list)
    for settings in space:
        alike[settings.get(LABEL)].append(settings)
    return [_label(settings, alike[settings.get(LABEL)]) for settings in space]


def _label(settings: Settings, alike: Space) -> str:
    own = settings.get(LABEL)
    told = [
        f"{key.removeprefix('model.')}={_written(value)}"
        for key, value in settings.items()
        if key != LABEL and (own is None or any(other.get(key) != value for other in alike))
    ]
    return ", ".join(told if own is None else [own, *told]) or "base"


def _named(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {ARM: settings[LABEL]} if LABEL in settings else {}


def _nearest(cell: Cell, legal: Sequence[Cell]) -> tuple[str, ...]:
    """The change that leads to the legal cell of the sweep that differs least: in few keys, by small steps."""

    def distance(other: Cell) -> tuple[int, float]:
        keys = _differing(cell, other)
        steps = (_step(cell.settings.get(key), other.settings.get(key)) for key in keys)
        return len(keys), sum(steps)

    others = [other for other in legal if set(_differing(cell, other)) - {"seed"}]
    if not others:
        return ()
    nearest = min(others, key=distance)
    changes = (f"{k.removeprefix('model.')}={_written(nearest.settings.get(k))}" for k in _differing(cell, nearest))
    return (", ".join(changes),)


def _differing(one: Cell, other: Cell) -> list[str]:
    keys = {**one.settings, **other.settings}.keys() - {ARM}
    return sorted(key for key in keys if one.settings.get(key) != other.settings.get(key))


def _step(one: Any, other: Any) -> float:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return abs(len(one) - len(other))
    return 1


def _written(value: Any) -> str:
    return f"({','.join(map(str, value))})" if isinstance(value, (list, tuple)) else str(value)
