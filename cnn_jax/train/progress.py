"""What a person sees while a run goes on: a bar with images/s and the time left, on standard error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Listener(Protocol):
    """Whoever wants to know how a run goes on."""

    def start(self, *, total_steps: int, step: int, batch_size: int) -> None:
        """The run begins, or goes on at `step`."""

    def advance(self, step: int, seconds: float, steps: int, train: Mapping[str, float]) -> None:
        """A compiled call ended: `steps` steps in `seconds`, bringing the run to `step`."""

    def evaluated(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """An evaluation of the parameters at `step` ended."""

    def note(self, text: str) -> None:
        """Something else that a person may want to know, in a line."""

    def close(self) -> None:
        """The run ended, one way or another."""


class Silence:
    """Listens to nothing."""

    def start(self, *, total_steps: int, step: int, batch_size: int) -> None:
        """Nothing."""

    def advance(self, step: int, seconds: float, steps: int, train: Mapping[str, float]) -> None:
        """Nothing."""

    def evaluated(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class ProgressBar:
    """A progress bar on a terminal, one line per evaluation elsewhere.

    Args:
        title: what is being trained.
    """

    def __init__(self, title: str):
        self._console = Console(stderr=True)
        self._title = title
        self._total = self._batch_size = self._calls = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def start(self, *, total_steps: int, step: int, batch_size: int) -> None:
        """Draws the bar."""
        self._total, self._batch_size = total_steps, batch_size
        self._task = self._bar.add_task(self._title, total=total_steps, completed=step, rate="compiling", note="")
        self._bar.start()

    def advance(self, step: int, seconds: float, steps: int, train: Mapping[str, float]) -> None:
        """Moves the bar; after the second call, the first that compiles nothing, says how long it is going to take."""
        self._calls += 1
        if self._calls == 2:
            self.note(
                f"{1000 * seconds / steps:.3g} ms a step, {_duration((self._total - step) * seconds / steps)} left"
            )
        rate = f"{steps * self._batch_size / seconds:,.0f} images/s" if seconds else ""
        self._bar.update(self._task, completed=step, rate=rate, note=f"loss {train['loss']:.3f}")

    def evaluated(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Prints one line."""
        line = f"{self._title} step {step}/{self._total}: {split} error {100 * (1 - metrics['accuracy']):.2f}%"
        self._print(f"{line}, loss {metrics['loss']:.4f}")

    def note(self, text: str) -> None:
        """Prints one line."""
        self._print(f"{self._title}: {text}")

    def _print(self, line: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {line}", highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {minutes} min" if minutes < 120 else f"about {minutes // 60} h {minutes % 60} min"
