"""What an experiment asks of every finished cell besides its errors: `measure(run)`, numbers under names of their own.

They stand in the cell's folder and are columns of the results. A change of the experiment's file asks anew.
"""

from __future__ import annotations

import hashlib
import math
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import CnnJaxError, ConfigError
from cnn_jax.evaluate import load
from cnn_jax.sweep.cells import Cell, fault_in, is_done
from cnn_jax.sweep.tidy import COLUMNS, MEASURED
from cnn_jax.train.workdir import read_json, write_json


def measure_cells(file: Path, cells: Sequence[Cell], workdir: Path) -> None:
    """Calls the experiment's `measure`, if it has one, with the `Run` of each finished cell that it has not seen.

    Args:
        file: the experiment.
        cells: of its sweep.
        workdir: the sweep's.

    Raises:
        ConfigError: `measure` fails, or returns something else than a dict of finite numbers under new names.
    """
    measure = runpy.run_path(str(file)).get("measure")
    if measure is None:
        return
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    for cell in cells:
        own = workdir / cell.id
        if is_done(workdir, cell) and (_stored(own) or {}).get("source") != source:
            try:
                numbers = _checked(measure(load(own)), cell, file)
            except CnnJaxError:
                raise
            except Exception as error:
                raise ConfigError(175, f"measure of {file}, cell {cell.label}, {fault_in(file, error)}") from error
            write_json(own / MEASURED, {"source": source, "numbers": numbers})


def _stored(own: Path) -> dict[str, Any] | None:
    return read_json(own / MEASURED) if (own / MEASURED).is_file() else None


def _checked(numbers: Any, cell: Cell, file: Path) -> dict[str, float]:
    if not isinstance(numbers, Mapping) or not all(isinstance(name, str) for name in numbers):
        raise ConfigError(175, f"measure of {file} returned {numbers!r:.80}: return a dict of numbers")
    for name, number in numbers.items():
        if not isinstance(number, (int, float)) or not math.isfinite(number):
            raise ConfigError(175, f"measure of {file}: {name} is {number!r:.80}: return Python's finite numbers")
    taken = sorted(numbers.keys() & {*COLUMNS, *cell.settings})
    if taken:
        raise ConfigError(175, f"measure of {file}: {', '.join(taken)} is a column already: use another name")
    return dict(numbers)
