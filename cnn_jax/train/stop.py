"""Ctrl-C and SIGTERM as a request to stop at the next step that can be saved, and SIGTERM as one that has to be met."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from cnn_jax.errors import Preempted

# A scheduler kills ten seconds after SIGTERM or later.
_GRACE = 8.0


class StopRequest:
    """Within this context the first SIGINT or SIGTERM only sets `requested`; a second one acts as it always did.

    Python hears of a signal between two steps, and a compilation or a large save can take minutes. So a thread hears
    of SIGTERM too, and ends the process with the same exit status when the run has not stopped by itself in time: what
    the last checkpoint does not hold is computed again.

    In other threads than the main one, where Python allows no handlers, it never fires.

    Args:
        at: a step at which a stop is due without a signal.
        grace: seconds from SIGTERM to the end of the process.
    """

    def __init__(self, at: int | None = None, grace: float = _GRACE) -> None:
        self.at = at
        self.requested: str | None = None
        self._grace = grace
        self._previous: dict[int, object] = {}
        self._left = threading.Event()
        self._wakeup: tuple[int, int] | None = None

    def due(self, step: int) -> bool:
        """Whether a run at this step is to stop."""
        return self.requested is not None or step == self.at

    @property
    def reason(self) -> str:
        """What asked for the stop."""
        return self.requested or f"request for step {self.at}"

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
            self._watch()
        return self

    def __exit__(self, *exc: object) -> None:
        self._restore()
        self._left.set()
        if self._wakeup is not None:
            previous, write = self._wakeup
            signal.set_wakeup_fd(previous)
            os.close(write)  # ends the thread

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}

    def _watch(self) -> None:
        # The number of a signal is written here at once, whatever the main thread is in.
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._wakeup = (signal.set_wakeup_fd(write, warn_on_full_buffer=False), write)
        threading.Thread(target=self._end_in_time, args=(read,), daemon=True).start()

    def _end_in_time(self, read: int) -> None:
        with open(read, "rb", buffering=0) as numbers:
            while (number := numbers.read(1)) and number[0] != signal.SIGTERM:
                pass
        if not number or self._left.wait(self._grace):
            return
        error = Preempted(2, f"SIGTERM, and no step ended in {self._grace:g} s; the same command goes on from the last "
                          "checkpoint")  # fmt: skip
        print(f"cnn-jax: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_status)
