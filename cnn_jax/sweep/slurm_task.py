"""What runs in a task of a job: a chunk of cells, one after another, and a journal that whoever waits can read.

The journal is for a shared file system what a pipe is on one machine: a line for what the task is at and for each cell
that ended. One process writes it, and closes it after each line, so that NFS shows it to others.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import CnnJaxError, Preempted
from cnn_jax.sweep.board import CellListener
from cnn_jax.sweep.cells import Packed, last_notes, note_failure, run_cells, unpack

_SECONDS_BETWEEN = 5.0


def run_task(packed: Sequence[Packed], workdir: str, journal: str) -> None:
    """Runs what is missing of a chunk. Each cell is this process alone, whatever Slurm says of other tasks.

    Ends the process with status 75 when it is told to stop, after a save: the next launch goes on from there.

    Args:
        packed: the cells, by `pack`.
        workdir: the sweep's.
        journal: the file to tell what happens.
    """
    folder, cells, ended = Path(workdir), [unpack(cell) for cell in packed], set()
    tell = _Journal(Path(journal))
    _stop_on_signals()
    try:
        for cell, outcome in run_cells(cells, folder, lambda cell: CellListener(lambda text: tell.at(cell.id, text))):
            ended.add(cell.id)
            tell.ended(cell.id, outcome)
            why = f": {last_notes(folder)[cell.id]['error']}" if outcome == "failed" else ""
            print(f"{outcome}: {cell.label}{why}", flush=True)
    except (Preempted, KeyboardInterrupt) as error:
        stopped = error if isinstance(error, Preempted) else Preempted(301, "stopped between two cells")
        print(f"cnn-jax: {stopped}", file=sys.stderr, flush=True)
        sys.exit(Preempted.exit_status)
    except CnnJaxError as error:  # the data, which all cells of a chunk share
        for cell in cells:
            if cell.id not in ended:
                note_failure(folder, cell, str(error))
                tell.ended(cell.id, "failed")
        print(f"cnn-jax: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_status)


class _Journal:
    """Writes what a task is at.

    Args:
        file: where.
    """

    def __init__(self, file: Path):
        self._file, self._cell, self._told = file, "", 0.0

    def at(self, cell_id: str, text: str) -> None:
        """What a cell is at; not more often than a person looks."""
        if cell_id != self._cell or time.monotonic() - self._told > _SECONDS_BETWEEN:
            self._cell, self._told = cell_id, time.monotonic()
            self._write(cell=cell_id, at=text)

    def ended(self, cell_id: str, outcome: str) -> None:
        """How a cell ended."""
        self._write(cell=cell_id, ended=outcome)

    def _write(self, **what: Any) -> None:
        with self._file.open("a") as stream:
            stream.write(json.dumps(what) + "\n")


def _stop_on_signals() -> None:
    """Slurm sends SIGTERM before it kills, and what `--signal` names some time earlier.

    Training saves on both. SIGTERM has to be met within seconds; the earlier signal is handed on as SIGINT, which may
    take as long as the save does. submitit's own handlers would ignore the first.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
