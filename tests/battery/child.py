"""What runs inside the processes that the battery hurts: the command line, with a fault planted where a test asks."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """What happens to a process, and when.

    Attributes:
        phase: a key of `PHASES`: the fault is armed when the process enters it for the `entry`th time.
        entry: counted from 0.
        delay: seconds from there.
        number: the signal that is sent.
        reader: whether a process that reads data gets it, and not the one that trains.
    """

    phase: str
    entry: int = 0
    delay: float = 0.0
    number: int = signal.SIGKILL
    reader: bool = False


def run(argv: list[str], log: str, environment: dict[str, str], fault: Fault | int | None) -> None:
    """Runs `cnn-jax argv` in this process and leaves with its status; both streams go to the file `log`.

    Args:
        argv: the arguments.
        log: a file.
        environment: variables to set; JAX is imported already but has not looked at any device yet.
        fault: a `Fault`, or n for a power cut just before the n-th change to the file system, or nothing.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(fault, int):
        _cut_power_before(fault)
    elif fault is not None:
        _arm(fault, Path(log).with_suffix(STRUCK))
    if argv[0] == "twenty-cells":
        status = _twenty_cells(Path(argv[1]))
    else:
        from cnn_jax.main import main

        status = main(argv)
    sys.stdout.flush()
    os._exit(status)


def _twenty_cells(workdir: Path) -> int:
    """A sweep over twenty seeds of a small network."""
    from cnn_jax.config import resolve
    from cnn_jax.sweep.cells import Cell, run_cells
    from cnn_jax.train.progress import Silence

    flat = {"model.name": "linear", "data": "shapes:tiny", "batch_size": 32, "total_steps": 4, "log_every": 2}
    cells = [Cell(resolve({**flat, "seed": seed}), f"seed {seed}") for seed in range(20)]
    return int(any(outcome == "failed" for _, outcome in run_cells(cells, workdir, lambda cell: Silence())))


STRUCK = ".struck"
"""Ending of the file, beside the log, that holds when a fault struck, by the clock that all processes share."""


def _arm(fault: Fault, struck: Path) -> None:
    entries = itertools.count()

    def strike() -> None:
        time.sleep(fault.delay)
        victim = _a_reader() if fault.reader else os.getpid()
        struck.write_text(str(time.monotonic()))
        os.kill(victim, fault.number)

    def entered() -> None:
        if next(entries) == fault.entry:
            threading.Thread(target=strike, daemon=True).start()

    PHASES[fault.phase](entered)


def _a_reader() -> int:
    """The process that reads data, of several the first; it may have to be waited for."""
    while True:
        for process in multiprocessing.active_children():
            if "prefetch" in process.name and process.pid is not None:
                return process.pid
        time.sleep(0.01)


def _at_start(entered: Callable[[], None]) -> None:
    entered()


def _wrap(owner: Any, name: str, entered: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        entered()
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def _in_compile(entered: Callable[[], None]) -> None:
    from jax._src import compiler

    _wrap(compiler, "backend_compile_and_load", entered)


def _in_save(entered: Callable[[], None]) -> None:
    from cnn_jax.train.checkpoint import Checkpoints

    _wrap(Checkpoints, "save", entered)


def _in_evaluation(entered: Callable[[], None]) -> None:
    from cnn_jax.train.evaluation import Evaluate

    _wrap(Evaluate, "__call__", entered)


def _in_log(entered: Callable[[], None]) -> None:
    from cnn_jax.train.metrics import MetricsLog

    _wrap(MetricsLog, "write", entered)


PHASES: dict[str, Callable[[Callable[[], None]], None]] = {
    "start": _at_start,
    "compile": _in_compile,
    "save": _in_save,
    "evaluate": _in_evaluation,
    "log": _in_log,
}
"""Where a fault can be planted: each takes what to call on entering. A log line stands between two steps."""


def _cut_power_before(n: int) -> None:
    """The process is gone just before its n-th change of the file system below the working directory's run."""
    changes = itertools.count()

    def count(*_: Any) -> None:
        if next(changes) == n:
            os._exit(137)

    for name in ("mkdir", "rename", "replace", "fsync", "unlink", "rmdir"):
        _wrap(os, name, count)
    written = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode != "r" and "b" not in mode:
            count()
        return written(self, mode, *args, **kwargs)

    Path.open = opened  # type: ignore[method-assign]
