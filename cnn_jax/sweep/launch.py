"""Running what is missing of a sweep: here, or by several processes of this machine.

The parent hands chunks of cells that share a program to its workers through pipes. A worker that dies takes down
nothing but the cells it was at; a worker whose parent has died saves and stops.
"""

from __future__ import annotations

import glob
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.errors import CnnJaxError, ConfigError, Preempted
from cnn_jax.sweep.board import Board, CellListener
from cnn_jax.sweep.cells import Cell, is_done, last_notes, note_failure, pack, run_cells, unpack
from cnn_jax.sweep.plan import chunks, in_running_order
from cnn_jax.train.workdir import DONE, read_json


def run_sweep(cells: Sequence[Cell], workdir: Path, board: Board, *, processes: int = 1) -> None:
    """Runs the cells that are not done; each ends at most once, however many launches there are.

    Args:
        cells: of the sweep.
        workdir: the sweep's; each cell's own is in it.
        board: is told what happens.
        processes: how many cells run at a time.

    Raises:
        ConfigError: `processes` is below 1.
        DataError: the data cannot be loaded.
        Preempted: by Ctrl-C or SIGTERM; the same sweep again goes on.
    """
    if processes < 1:
        raise ConfigError(152, f"--processes={processes} must be at least 1")
    todo = [cell for cell in in_running_order(cells) if not is_done(workdir, cell)]
    if processes == 1:
        for cell, outcome in run_cells(
            todo, workdir, lambda cell: CellListener(lambda text: board.show(cell.id, text))
        ):
            tell_end(board, workdir, cell.id, outcome)
        return
    workdir.mkdir(parents=True, exist_ok=True)
    tried: set[str] = set()
    # Again as long as a worker has died and left cells of its chunk untouched.
    while left := [cell for cell in todo if cell.id not in tried]:
        tried |= _Pool(left, workdir, board, processes).run()


def tell_end(board: Board, workdir: Path, cell_id: str, outcome: str, why: str = "", log: Path | None = None) -> None:
    """Tells how a cell ended, with its result or what was noted of its failure, and where it left a log."""
    done = workdir / cell_id / DONE
    error = str((last_notes(workdir).get(cell_id) or {}).get("error") or "") if outcome == "failed" else why
    board.ended(cell_id, outcome, error, read_json(done) if done.is_file() else None, log)


class _Worker(NamedTuple):
    process: Any
    pipe: Connection
    at: dict[str, None]  # the cells it is at, if any


class _Pool:
    """The workers of one round, and what they are at."""

    def __init__(self, cells: Sequence[Cell], workdir: Path, board: Board, processes: int):
        self._cells = {cell.id: cell for cell in cells}
        self._chunks = deque([pack(cell) for cell in chunk] for chunk in chunks(cells, processes))
        self._workdir, self._board = workdir, board
        self._ended: set[str] = set()
        context = multiprocessing.get_context("spawn")  # JAX has threads: a forked process may hang
        self._workers: dict[Connection, _Worker] = {}
        for number in range(min(processes, len(self._chunks))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, str(workdir), number, processes))
            process.start()
            theirs.close()
            self._workers[ours] = _Worker(process, ours, {})

    def run(self) -> set[str]:
        """Until no worker is left; the ids of the cells that were tried."""
        try:
            while self._workers:  # a worker that ends is forgotten
                for pipe in wait(list(self._workers)):
                    self._hear(self._workers[pipe])  # type: ignore[index]
        except KeyboardInterrupt:
            raise Preempted(4, "stopped by Ctrl-C; the same command goes on") from None
        finally:
            self._stop()
        return self._ended

    def _hear(self, worker: _Worker) -> None:
        try:
            kind, *what = worker.pipe.recv()
        except (EOFError, OSError):
            self._died(worker)
            return
        if kind == "idle":
            worker.pipe.send(self._chunks.popleft() if self._chunks else None)
        elif kind == "show":
            worker.at[what[0]] = None
            self._board.show(*what)
        elif kind == "ended":
            worker.at.pop(what[0], None)
            self._ended.add(what[0])
            tell_end(self._board, self._workdir, *what)
        elif kind == "raise":
            raise what[0]
        elif kind == "bye":
            self._forget(worker)

    def _died(self, worker: _Worker) -> None:
        """A worker ended without a word: killed, or out of memory."""
        worker.process.join()
        for cell_id in worker.at:
            if not is_done(self._workdir, self._cells[cell_id]):
                status = worker.process.exitcode
                why = f"its process died with status {status}, killed or out of memory" if status else "it was stopped"
                note_failure(self._workdir, self._cells[cell_id], why)
            self._ended.add(cell_id)
            tell_end(self._board, self._workdir, cell_id, "failed")
        if not worker.at and worker.process.exitcode:
            raise ConfigError(
                153, f"a process of the sweep ended with status {worker.process.exitcode} before any cell"
            )
        self._forget(worker)

    def _forget(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        del self._workers[worker.pipe]

    def _stop(self) -> None:
        """Lets what still runs save, and waits for it; one that just ended its cell asks for more and gets none."""
        for worker in self._workers.values():
            worker.process.terminate()
        while self._workers:
            for pipe in wait(list(self._workers)):
                worker = self._workers[pipe]  # type: ignore[index]
                try:
                    kind, *what = worker.pipe.recv()
                    if kind == "idle":
                        worker.pipe.send(None)
                    elif kind == "ended":
                        tell_end(self._board, self._workdir, *what)
                except (EOFError, OSError):
                    self._forget(worker)


def _work(pipe: Connection, workdir: str, number: int, processes: int) -> None:
    """A worker: runs chunks until there are none."""
    os.setpgrp()  # a terminal's Ctrl-C is for the parent, which tells the workers once
    _choose_device(number, processes)
    try:
        while True:
            pipe.send(("idle",))
            chunk = pipe.recv()
            if chunk is None:
                pipe.send(("bye",))
                return
            cells = [unpack(packed) for packed in chunk]
            for cell, outcome in run_cells(cells, Path(workdir), lambda cell: CellListener(_teller(pipe, cell.id))):
                pipe.send(("ended", cell.id, outcome))
    except (EOFError, BrokenPipeError, ConnectionResetError, Preempted, KeyboardInterrupt):
        return  # the parent is gone, or has told us to stop
    except CnnJaxError as error:
        pipe.send(("raise", error))


def _teller(pipe: Connection, cell_id: str) -> Any:
    def tell(text: str) -> None:
        try:
            pipe.send(("show", cell_id, text))
        except OSError:
            signal.raise_signal(signal.SIGTERM)  # the parent is gone: save and stop

    return tell


def _choose_device(number: int, processes: int) -> None:
    """Spreads the workers over the GPUs of the machine; several on one share its memory."""
    gpus = len(glob.glob("/dev/nvidia[0-9]*"))
    if not gpus or "CUDA_VISIBLE_DEVICES" in os.environ:
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = str(number % gpus)
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / -(-processes // gpus):.2f}")
