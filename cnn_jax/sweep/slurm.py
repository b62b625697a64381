"""Running what is missing of a sweep on a cluster: jobs submitted, remembered, and followed to their end.

A cell's `DONE` says that it is done, whatever Slurm says: without accounting it forgets jobs. What it is asked for is
which cells are queued or running, so that no launch submits them again, and why a task is gone that left cells undone.
`slurm/jobs.jsonl` in the sweep's workdir holds each job under a name of its own, written before it is submitted: a
launch that is killed in between leaves no job that the next one does not find.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import ConfigError, Preempted
from cnn_jax.sweep.board import Board
from cnn_jax.sweep.cells import Cell, is_done, note_failure, pack
from cnn_jax.sweep.launch import tell_end
from cnn_jax.sweep.plan import chunks, in_running_order
from cnn_jax.sweep.slurm_queue import Cluster, Task, journal_of, log_of

FOLDER = "slurm"
"""Where jobs leave their files in a sweep's workdir."""
_JOBS = "jobs.jsonl"
_SECONDS_TO_LOOK, _SECONDS_TO_ASK = 1.0, 10.0
_SECONDS_A_TASK = 0.02
"""Between two looks at journals, for each of them: a thousand a second would be a burden to a file server."""
# The record of a task that is not seen: submitted a moment ago, or long gone.
_UNKNOWN = Task("", "gone")


class Submitted:
    """One task of a job that holds cells which are not done.

    Args:
        folder: the sweep's for jobs.
        name: of its job.
        index: its number in it.
        cells: the ids of its cells.
        task: what Slurm knew of it last.
    """

    def __init__(self, folder: Path, name: str, index: int, cells: Sequence[str], task: Task = _UNKNOWN):
        self.key, self.cells, self.task = (name, index), tuple(cells), task
        self._journal, self._read = journal_of(folder, name, index), 0
        self.at: str | None = None
        """The cell that it is at, by its journal."""

    def news(self) -> Iterator[dict[str, Any]]:
        """The lines of its journal that have come since."""
        with contextlib.suppress(FileNotFoundError), self._journal.open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if not line.endswith(b"\n"):  # on its way
                    return
                self._read += len(line)
                with contextlib.suppress(ValueError):
                    told = json.loads(line)
                    self.at = None if "ended" in told else told["cell"]
                    yield told


def submit(
    cells: Sequence[Cell], workdir: Path, cluster: Cluster, *, parts: int = 1
) -> tuple[list[Submitted], list[Submitted]]:
    """Submits the cells that are not done and that no job has; two launches at a time take turns.

    Args:
        cells: of the sweep.
        workdir: the sweep's.
        cluster: where to.
        parts: tasks that there should at least be; one runs cells of one program.

    Returns:
        The tasks of earlier launches that are queued or run, and those of this one.

    Raises:
        ConfigError: Slurm does not answer, or refuses the job.
    """
    folder = workdir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        todo = {cell.id: cell for cell in in_running_order(cells) if not is_done(workdir, cell)}
        earlier = [task for task in _remembered(folder) if not todo.keys().isdisjoint(task.cells)]
        seen = cluster.tasks({task.key[0] for task in earlier})
        earlier = [task for task in earlier if (found := seen.get(task.key)) and found.live]
        for task in earlier:
            task.task = seen[task.key]
        held = {cell_id for task in earlier for cell_id in task.cells}
        parted = chunks([cell for cell_id, cell in todo.items() if cell_id not in held], parts)
        if not parted:
            return earlier, []
        name = f"cnn-jax-{uuid.uuid4().hex[:8]}"
        ids = [[cell.id for cell in chunk] for chunk in parted]
        with (folder / _JOBS).open("a") as stream:
            stream.write(json.dumps({"name": name, "tasks": ids}) + "\n")
        tasks = cluster.submit(name, [[pack(cell) for cell in chunk] for chunk in parted], workdir.absolute(), folder)
        pairs = enumerate(zip(ids, tasks, strict=True))
        return earlier, [Submitted(folder, name, i, own, Task(task_id, "PENDING")) for i, (own, task_id) in pairs]


def follow(tasks: Sequence[Submitted], cells: Sequence[Cell], workdir: Path, board: Board, cluster: Cluster) -> None:
    """Tells of the cells until each has ended or has no task any more.

    Args:
        tasks: that hold them.
        cells: of the sweep; those without a task are left out.
        workdir: the sweep's.
        board: is told what happens.
        cluster: where the tasks are.

    Raises:
        Preempted: by Ctrl-C, and the jobs go on; or cells were stopped before their end. The same sweep goes on.
    """
    follower = _Follower(tasks, cells, workdir, board)
    try:
        asked = time.monotonic()
        while follower.look():
            time.sleep(max(_SECONDS_TO_LOOK, _SECONDS_A_TASK * len(follower.open)))
            if time.monotonic() - asked > _SECONDS_TO_ASK:
                with contextlib.suppress(ConfigError):  # no answer: nothing follows from that
                    follower.hear(cluster.tasks({task.key[0] for task in follower.open}))
                asked = time.monotonic()
    except KeyboardInterrupt:
        jobs = " ".join(sorted({task.task.id.partition("_")[0] for task in follower.open}))
        told = f"jobs go on ({jobs}): the same command follows them again, scancel {jobs} ends them"
        raise Preempted(302, told) from None
    if follower.stopped:
        raise Preempted(303, f"{follower.stopped} cells were stopped before their end; the same command goes on")


class _Follower:
    """What is left of tasks."""

    def __init__(self, tasks: Sequence[Submitted], cells: Sequence[Cell], workdir: Path, board: Board):
        held = {cell_id for task in tasks for cell_id in task.cells}
        self.open = list(tasks)
        self.stopped = 0
        self._left = {cell.id: cell for cell in cells if cell.id in held}
        self._workdir, self._board = workdir, board

    def look(self) -> bool:
        """Reads the journals; whether a cell is left."""
        for task in self.open:
            for told in task.news():
                if told["cell"] in self._left:
                    if "at" in told:
                        self._board.show(told["cell"], told["at"])
                    else:
                        self._end(told["cell"], told["ended"], task)
        self.open = [task for task in self.open if not self._left.keys().isdisjoint(task.cells)]
        return bool(self._left)

    def hear(self, seen: dict[tuple[str, int], Task]) -> None:
        """What Slurm says of the tasks: those that are over are read to their end, and closed."""
        for task in list(self.open):
            found = seen.get(task.key)
            task.task = found or task.task._replace(state=_UNKNOWN.state, status=None)
            if found is None or not found.live:
                _look_again(self._workdir, task.cells)
                self.look()
                self._close(task)

    def _close(self, task: Submitted) -> None:
        for cell_id in [cell_id for cell_id in task.cells if cell_id in self._left]:
            cell = self._left[cell_id]
            state = task.task.state if task.task.status is None else f"{task.task.state}, status {task.task.status}"
            if is_done(self._workdir, cell):
                self._end(cell_id, "done", task)
            elif task.task.faulty and task.at in (None, cell_id):  # the others were not at fault
                note_failure(self._workdir, cell, f"its task ended: {state}")
                self._end(cell_id, "failed", task)
            else:
                self.stopped += 1
                self._end(cell_id, "stopped", task, f"its task is over: {state}")

    def _end(self, cell_id: str, outcome: str, task: Submitted, why: str = "") -> None:
        del self._left[cell_id]
        log = log_of(self._workdir / FOLDER, task.task.id)
        tell_end(self._board, self._workdir, cell_id, outcome, why, log if log.is_file() else None)


def _remembered(folder: Path) -> list[Submitted]:
    """The tasks of all launches."""
    file, tasks = folder / _JOBS, []
    for line in file.read_text().splitlines() if file.is_file() else []:
        with contextlib.suppress(ValueError):  # cut off by a power cut, before anything was submitted
            job = json.loads(line)
            tasks += [Submitted(folder, job["name"], index, cells) for index, cells in enumerate(job["tasks"])]
    return tasks


def _look_again(workdir: Path, cells: Sequence[str]) -> None:
    """Makes NFS forget what was not there: it remembers that for a minute, unless the folder is seen to change."""
    for folder in (workdir / FOLDER, *(workdir / cell_id for cell_id in cells)):
        with contextlib.suppress(OSError):
            folder.chmod(folder.stat().st_mode)
