"""That one process alone is at a cell, on this machine and on others that share its file system.

Between the processes of a machine `flock` decides, and it lets go however a process ends. Between machines it holds as
well on NFS and on most cluster file systems, but not where they are mounted with local locks (NFS `local_lock` and
`nolock`, Lustre `localflock`), and nothing says so. So who has a cell also holds a lease of it: a file that one process
alone can create (`O_EXCL`, which NFS 3 and later keep) and that it writes again every few seconds. Leases are numbered.
Who finds the last one given back, or not written for `PATIENCE`, creates the next, which again one process alone can.

Clocks of machines are never compared: a lease is old when it has been watched for so long without a change. The limit
of this: where locks are local, a process that was suspended for longer than `PATIENCE` while another machine took its
cell is at it for up to `BEAT` after it wakes, and then ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cnn_jax.errors import Preempted

BEAT = 10.0
"""Seconds between two writings of a lease."""
PATIENCE = 60.0
"""Seconds without a writing after which the holder, on another machine, is taken for dead."""
_NAME = ".lease-"


@contextlib.contextmanager
def only_one(workdir: Path) -> Iterator[bool]:
    """Whether this process alone may work in a folder; while it does, others are told that they may not.

    Args:
        workdir: the folder; made if need be.

    Raises:
        OSError: it cannot be written.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("w") as lock:
        locked = _lock(lock)
        number = None if locked is False else _next(workdir, locked=bool(locked))
        if number is None or not _create(workdir, number):
            yield False
            return
        left = threading.Event()
        beating = threading.Thread(target=_beat, args=(workdir / f"{_NAME}{number}", left), daemon=True)
        beating.start()
        try:
            yield True
        finally:
            left.set()
            beating.join()
            with contextlib.suppress(OSError):  # a full disk: the others wait a little
                _write(workdir / f"{_NAME}{number}", free=True)


def _lock(lock: IO[str]) -> bool | None:
    """Whether the lock is ours; None where the file system has none."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return None
    return True


def _next(workdir: Path, *, locked: bool) -> int | None:
    """The number of the lease to create, or None if the last one is held."""
    last = max(_numbers(workdir), default=0)
    if last == 0:
        return 1
    seen, since = _read(workdir, last), time.monotonic()
    while seen is not None:
        lease = _parsed(seen)
        # On this machine the lock has told: its holder is gone.
        if lease.get("free") or (locked and lease.get("host") == _host()):
            return last + 1
        if time.monotonic() - since > PATIENCE:
            return last + 1
        time.sleep(min(1.0, PATIENCE / 10))
        now = _read(workdir, last)
        if now != seen and not _parsed(now or "").get("free"):
            return None
        seen = now
    return None  # somebody has gone on to the next


def _create(workdir: Path, number: int) -> bool:
    file = workdir / f"{_NAME}{number}"
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return False
    _write(file)
    # A listing may have been out of date (NFS keeps them for a minute). After a creation it is not.
    numbers = _numbers(workdir)
    for other in numbers:
        if other < max(numbers):
            (workdir / f"{_NAME}{other}").unlink(missing_ok=True)
    return number == max(numbers)


def _numbers(workdir: Path) -> list[int]:
    return [int(file.name.removeprefix(_NAME)) for file in workdir.glob(f"{_NAME}*")]


def _beat(file: Path, left: threading.Event) -> None:
    beats = 0
    while not left.wait(BEAT):
        beats += 1
        try:
            _write(file, beats=beats)
        except FileNotFoundError:
            _lost(file)
        except OSError as error:
            if error.errno == errno.ESTALE:
                _lost(file)
            # A full disk or a server that does not answer: the next beat may come through.


def _lost(file: Path) -> None:
    """Another machine has taken the cell: whatever this process would write now would be in its way."""
    error = Preempted(300, f"{file.parent} was taken over by another machine, as nothing was heard of this process")
    print(f"cnn-jax: {error}", file=sys.stderr, flush=True)
    os._exit(error.exit_status)


def _write(file: Path, **what: Any) -> None:
    """Writes a lease that exists; opened and closed each time, so that NFS shows it to others."""
    descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, json.dumps({"host": _host(), "process": os.getpid(), **what}).encode())
    finally:
        os.close(descriptor)


def _read(workdir: Path, number: int) -> str | None:
    try:
        return (workdir / f"{_NAME}{number}").read_text()
    except OSError:  # gone, on NFS also "stale"
        return None


def _parsed(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError:  # being written, or cut off when its machine went down
        return {}


def _host() -> str:
    """The machine since it was started: two containers of one kernel have names of their own."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {boot.read_text().strip() if boot.is_file() else ''}"
