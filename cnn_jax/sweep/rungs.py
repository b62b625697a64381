"""Sweeps whose later cells depend on the results of earlier ones: an experiment's `halving` or `tuning`."""

from __future__ import annotations

import runpy
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnn_jax.errors import ConfigError
from cnn_jax.schema import LENGTHS
from cnn_jax.sweep.cells import Cell, is_done, last_notes
from cnn_jax.sweep.halving import Halving
from cnn_jax.sweep.search import Distribution
from cnn_jax.sweep.tuning import Tuning


def read_rungs(file: Path) -> Halving | Tuning | None:
    """What an experiment asks for, or None if all its cells are known at once.

    Raises:
        ConfigError: it is neither, makes no sense, or there are both.
    """
    names = runpy.run_path(str(file))
    halving, tuning = names.get("halving"), names.get("tuning")
    if halving is not None and tuning is not None:
        raise ConfigError(168, f"{file} has both halving and tuning: keep one of them")
    if halving is not None:
        return _checked_halving(halving, file)
    return None if tuning is None else _checked_tuning(tuning, file)


def climb(cells: Sequence[Cell], rungs: Halving | Tuning | None, workdir: Path) -> Iterator[list[Cell]]:
    """The cells of one rung after another; whoever asks for the next rung has run the last one.

    Raises:
        ConfigError: no cell of a rung has a validation error to compare by.
    """
    return iter([list(cells)]) if rungs is None else rungs.climb(cells, workdir)


def known(cells: Sequence[Cell], rungs: Halving | Tuning | None, workdir: Path) -> list[Cell]:
    """The cells that the results so far lead to: of all rungs up to the first in which a cell has not ended."""
    found: list[Cell] = []
    notes = last_notes(workdir)
    for rung in climb(cells, rungs, workdir):
        found += rung
        if not all(is_done(workdir, cell) or notes.get(cell.id, {}).get("status") == "failed" for cell in rung):
            break
    return found


def _checked_halving(found: object, file: Path) -> Halving:
    if not isinstance(found, Halving):
        raise ConfigError(
            156, f"halving of {file} is a {type(found).__name__}: write cnn_jax.sweep.halving.Halving(...)"
        )
    if found.key not in LENGTHS or found.start <= 0 or found.factor < 2 or found.rungs < 1:
        legal = f"a key of {', '.join(LENGTHS)}, a start above 0, a factor of at least 2 and at least one rung"
        raise ConfigError(157, f"halving of {file} is {found}: use {legal}")
    return found


def _checked_tuning(found: object, file: Path) -> Tuning:
    if not isinstance(found, Tuning):
        raise ConfigError(169, f"tuning of {file} is a {type(found).__name__}: write cnn_jax.sweep.tuning.Tuning(...)")
    searched = all(isinstance(dimension, Distribution) for dimension in found.dimensions.values())
    if not found.dimensions or not searched or found.trials < 1 or found.at_a_time < 1:
        legal = "distributions of cnn_jax.sweep.search by key, and at least one trial, one at a time"
        raise ConfigError(169, f"tuning of {file} is {found}: use {legal}")
    return found
