"""Cells of a sweep, and running what is missing of them."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from cnn_jax.config import resolve, run_id, to_dict
from cnn_jax.data import Dataset
from cnn_jax.errors import CnnJaxError, Preempted
from cnn_jax.schema import DATA_KEYS
from cnn_jax.sweep.lease import only_one
from cnn_jax.train.build import program_key
from cnn_jax.train.loop import load_config_data, train
from cnn_jax.train.population import Member, train_population
from cnn_jax.train.progress import Listener
from cnn_jax.train.workdir import DONE, read_json

MANIFEST = "manifest.jsonl"
TRACEBACK = "traceback.txt"
MOST_TOGETHER = 64
"""Cells of one population: all of them have to save within seconds of a signal."""

Packed = tuple[dict[str, Any], str, dict[str, Any]]


class Cell(NamedTuple):
    """One training run of a sweep.

    Attributes:
        config: its resolved config.
        label: what a person calls it.
        settings: what sets it apart from the others of its sweep, by dotted key; the columns of the tidy table.
    """

    config: Any
    label: str
    settings: Mapping[str, Any] = MappingProxyType({})

    @property
    def id(self) -> str:
        """The hash of the canonical config, and the name of the cell's workdir."""
        return run_id(self.config)


def pack(cell: Cell) -> Packed:
    """A cell as plain data, for another process."""
    return to_dict(cell.config), cell.label, dict(cell.settings)


def unpack(packed: Packed) -> Cell:
    """The cell of `pack`."""
    config, label, settings = packed
    return Cell(resolve(config), label, settings)


def run_cells(cells: Sequence[Cell], workdir: Path, listen: Callable[[Cell], Listener]) -> Iterator[tuple[Cell, str]]:
    """Runs the cells that are not done; yields each with how it ended.

    Cells that follow each other and share a program are trained together, as a population; others one after another. A
    cell that another process is running is left to it. A failed cell is written down and tried again by the next
    launch, and the others go on.

    Args:
        cells: what the sweep consists of.
        workdir: the sweep's workdir; each cell's own is `workdir / cell.id`.
        listen: gives the listener for a cell that is about to run.

    Yields:
        `(cell, "done" | "kept" | "failed" | "elsewhere")`; `kept` was done by an earlier launch.

    Raises:
        DataError: the data cannot be loaded; no cell could run.
        Preempted: by Ctrl-C or SIGTERM; the same sweep again goes on.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    datasets: dict[str, Dataset] = {}
    for _, alike in itertools.groupby(cells, key=lambda cell: program_key(cell.config)):
        while group := list(itertools.islice(alike, MOST_TOGETHER)):
            yield from _run_group(group, workdir, listen, datasets)


def _run_group(
    cells: Sequence[Cell], workdir: Path, listen: Callable[[Cell], Listener], datasets: dict[str, Dataset]
) -> Iterator[tuple[Cell, str]]:
    """Cells that share a program; each is locked until all have ended."""
    with contextlib.ExitStack() as locks:
        mine = []
        for cell in cells:
            own = workdir / cell.id
            ours = not (own / DONE).is_file() and locks.enter_context(only_one(own))
            if (own / DONE).is_file():  # by an earlier launch, or it has come since
                yield cell, "kept"
            elif ours:
                mine.append(cell)
            else:
                yield cell, "elsewhere"
        if not mine:
            return
        dataset = _dataset(mine[0].config, datasets)
        outcomes = _together(mine, workdir, listen, dataset) if len(mine) > 1 and not dataset.streamed else {}
        for cell in mine:
            if cell.id not in outcomes:
                outcomes[cell.id] = _alone(cell, workdir, listen(cell), dataset)
            error = outcomes[cell.id]
            if error is None:
                _note(workdir, cell, "done", seconds=read_json(workdir / cell.id / DONE)["seconds"])
            else:
                note_failure(workdir, cell, error)
            yield cell, "done" if error is None else "failed"


def _together(
    cells: Sequence[Cell], workdir: Path, listen: Callable[[Cell], Listener], dataset: Dataset
) -> dict[str, str | None]:
    """Why each cell failed, or None; {} where something happened that concerns them all: then each is tried alone."""
    try:
        members = [Member(cell.config, workdir / cell.id, listen(cell)) for cell in cells]
        outcomes = train_population(members, dataset=dataset)
    except Preempted:
        raise
    except Exception:  # whoever of them is at fault will be so alone
        return {}
    return {
        cell.id: str(outcome) if isinstance(outcome, CnnJaxError) else None
        for cell, outcome in zip(cells, outcomes, strict=True)
    }


def _alone(cell: Cell, workdir: Path, listener: Listener, dataset: Dataset) -> str | None:
    """Why the cell failed, or None."""
    own = workdir / cell.id
    try:
        train(cell.config, own, dataset=dataset, progress=listener)
    except Preempted:
        raise
    except CnnJaxError as error:
        return str(error)
    except Exception as error:  # a fault of ours or of a library: the other cells go on all the same
        (own / TRACEBACK).write_text(traceback.format_exc())
        return f"{' '.join(f'{type(error).__name__}: {error}'.split())[:300]} ({own / TRACEBACK})"
    return None


def fault_in(file: Path, error: Exception) -> str:
    """Where in a user's file an error arose, and what it is: `line 12: ZeroDivisionError: division by zero`."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    line = next((frame.lineno for frame in frames if frame.filename == str(file)), 0)
    return f"line {line}: {type(error).__name__}: {error}"


def last_notes(workdir: Path) -> dict[str, Mapping[str, Any]]:
    """The newest line of the manifest for each cell, by its id."""
    file = workdir / MANIFEST
    lines = file.read_text().splitlines() if file.is_file() else []
    notes: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        with contextlib.suppress(ValueError):  # cut off by a power cut, or on its way from another machine
            note = json.loads(line)
            notes[note["cell"]] = note
    return notes


def _dataset(config: Any, loaded: dict[str, Dataset]) -> Dataset:
    """The data of a cell; cells of one sweep mostly share it."""
    key = json.dumps([config[name] for name in (*DATA_KEYS, "input")])
    if key not in loaded:
        loaded.clear()  # one at a time: data sets are the largest thing in memory
        loaded[key] = load_config_data(config)
    return loaded[key]


def note_failure(workdir: Path, cell: Cell, error: str) -> None:
    """Writes down that a cell failed, and why; the next launch tries it again."""
    _note(workdir, cell, "failed", error=error)


def is_done(workdir: Path, cell: Cell) -> bool:
    """Whether a cell of the sweep in `workdir` has ended well."""
    return (workdir / cell.id / DONE).is_file()


def _note(workdir: Path, cell: Cell, status: str, *, seconds: float | None = None, error: str | None = None) -> None:
    note = {
        "cell": cell.id,
        "label": cell.label,
        "status": status,
        "error": error,
        "seconds": seconds,
        "config": to_dict(cell.config),
    }
    # One write of one line: two processes that append at once do not mix their lines. Machines that share the file
    # over NFS would, and need the lock as well.
    descriptor = os.open(workdir / MANIFEST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, (json.dumps(note, sort_keys=True) + "\n").encode())
    finally:
        os.close(descriptor)
