"""What a person sees while a run goes on: a bar with images/s and the time left, on standard error."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A progress bar on a terminal, one line per evaluation elsewhere, nothing when not `shown`.

    Args:
        title: what is being trained.
        total_steps: length of the whole run.
        step: where it starts.
        batch_size: images in a step.
        shown: False for silence.
    """

    def __init__(self, title: str, *, total_steps: int, step: int, batch_size: int, shown: bool):
        self._console = Console(stderr=True)
        self._shown = shown
        self._batch_size = batch_size
        self._title = title
        self._total = total_steps
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not shown or not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total_steps, completed=step, rate="compiling", note="")
        self._bar.start()

    def advance(self, step: int, seconds: float, steps: int, train: Mapping[str, float]) -> None:
        """A compiled call ended: `steps` steps in `seconds`."""
        rate = f"{steps * self._batch_size / seconds:,.0f} images/s" if seconds else ""
        self._bar.update(self._task, completed=step, rate=rate, note=f"loss {train['loss']:.3f}")

    def evaluated(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """An evaluation ended."""
        if self._shown:
            line = f"{self._title} step {step}/{self._total}: {split} error {100 * (1 - metrics['accuracy']):.2f}%"
            self._console.print(f"{time.strftime('%H:%M:%S')} {line}, loss {metrics['loss']:.4f}", highlight=False)

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()
