"""Ctrl-C and SIGTERM as a request to stop at the next step that can be saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopRequest:
    """Within this context the first SIGINT or SIGTERM only sets `requested`; a second one acts as it always did.

    In other threads than the main one, where Python allows no handlers, it never fires.

    Args:
        at: a step at which a stop is due without a signal.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.requested: str | None = None
        self._previous: dict[int, object] = {}

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
        return self

    def __exit__(self, *exc: object) -> None:
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}
