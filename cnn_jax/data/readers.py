"""Watches over whoever reads data: a reader that died, left or hangs is named, with the file it was at."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import shutil
import struct
import tempfile
import weakref
from collections.abc import Callable, Collection
from multiprocessing.process import BaseProcess
from pathlib import Path

from cnn_jax.errors import DataError

HANG_SECONDS = 15
"""A reader that has been at one image for so long hangs: the largest image allowed decodes in a few seconds."""
START_SECONDS = 120
"""A process that has not begun to read after so long hangs as well: it imports Python and little else."""
_NOTHING = -1


class Readers:
    """The processes that read one stream. Each keeps a file of eight bytes: which example it is reading.

    Args:
        name: index of an example -> its name in messages.
    """

    def __init__(self, name: Callable[[int], str]):
        self._name = name
        self.directory = tempfile.mkdtemp(prefix="cnn-jax-readers-")
        self._clean = weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        self._seen: dict[int, tuple[int, int]] = {}
        self._processes: dict[int, BaseProcess] = {}
        self._idle = 0

    def check(self) -> None:
        """To be called once for every second that a batch has been waited for.

        Time is counted in such calls and not by the clock: a machine that slept is no reader that hangs.

        Raises:
            DataError: a reader is gone, or none has got on for `HANG_SECONDS`.
        """
        now = self._progress()
        alive = self._meet(now)
        for pid in now.keys() - alive - {os.getpid()}:
            process = self._processes.get(pid)
            code = "unknown" if process is None else process.exitcode
            if process is not None and code == 0:
                # Grain would wait for ever for what ended in order; now it sees a fault.
                process._popen.returncode = 1  # type: ignore[attr-defined]
            raise self._died(now[pid][0], "unknown" if code is None else code)
        self._idle = self._idle + 1 if now == self._seen else 0
        self._seen = now
        if self._idle >= (HANG_SECONDS if now else START_SECONDS):
            stuck = next((index for index, _ in now.values() if index != _NOTHING), _NOTHING)
            self.kill()
            raise DataError(
                142,
                f"no data for {self._idle} s{self._while(stuck)}: is the disk or the network behind it gone? {_AGAIN}",
            )

    def died(self, error: Exception) -> DataError:
        """What to say when Grain reports that a process is gone."""
        index = next((index for index, _ in self._progress().values() if index != _NOTHING), _NOTHING)
        code = str(error).partition("exit code ")[2].partition(".")[0]
        return self._died(index, int(code) if code.lstrip("-").isdecimal() else code)

    def _died(self, index: int, code: int | str) -> DataError:
        hint = f"{_HINTS[code]}; {_AGAIN}" if code in _HINTS else _AGAIN
        return DataError(141, f"a data worker died (exit code {code}){self._while(index)}: {hint}")

    def reset(self) -> None:
        """Forgets how long was waited: a batch has come."""
        self._idle = 0
        now = self._progress()
        if now.keys() - self._processes.keys() - {os.getpid()}:
            self._meet(now)

    def _meet(self, now: Collection[int]) -> set[int]:
        """Keeps the processes that have begun to read, for the time when they have ended; which of them are alive."""
        # Taken before `active_children` forgets those that have ended: a reader may leave before it is first met.
        started = tuple(multiprocessing.process._children)  # type: ignore[attr-defined]
        self._processes |= {p.pid: p for p in started if p.pid in now}
        return {p.pid for p in multiprocessing.active_children() if p.pid is not None and p.pid in now}

    def kill(self) -> None:
        """Ends what may not end by itself, a reader stopped or stuck in a system call."""
        ours = self._progress()
        for process in multiprocessing.active_children():  # those that have ended are none of them
            if process.pid in ours:
                process.kill()

    def _progress(self) -> dict[int, tuple[int, int]]:
        """Of every reader, by process: the example it is at, and when it began it."""
        found = {}
        for file in Path(self.directory).iterdir():
            content = file.read_bytes()
            if len(content) == _AT.size:
                found[int(file.name)] = (_AT.unpack(content)[0], file.stat().st_mtime_ns)
        return found

    def _while(self, index: int) -> str:
        return "" if index == _NOTHING else f" while it was at {self._name(index)}"


class Reader:
    """One process's end of `Readers`.

    Args:
        directory: `Readers.directory`.
    """

    def __init__(self, directory: str):
        self._directory = directory
        self._file: int | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"_directory": self._directory, "_file": None}

    def at(self, index: int = _NOTHING) -> None:
        """Notes the example that is read next; nothing yet by default."""
        if self._file is None:
            self._file = os.open(os.path.join(self._directory, str(os.getpid())), os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(self._file, _AT.pack(index), 0)


_AT = struct.Struct("<q")
# What usually ends a process with this exit code.
_HINTS: dict[int | str, str] = {
    -9: "the machine may be out of memory: lower config.batch_size or config.workers",
}
_AGAIN = "the same command goes on from the last checkpoint"
