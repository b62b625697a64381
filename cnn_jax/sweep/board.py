"""What a person sees while a sweep runs: how many cells are done, running and failed, when it ends, what each is at."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cnn_jax.sweep.cells import Cell
from cnn_jax.train.progress import Silence


class Board:
    """A live table on a terminal; elsewhere one line for each cell that ends.

    Args:
        cells: what is to be run.
        seconds: predicted for each cell, by its id; what cells really take corrects it.
        kept: how many were done before.
        workdir: where to look when a cell has failed.
        processes: that run cells, each a cell or a population of them.
        shown: False for silence.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        seconds: Mapping[str, float],
        *,
        kept: int,
        workdir: Path,
        processes: int,
        shown: bool = True,
    ):
        self._cells = {cell.id: cell for cell in cells}
        self._seconds, self._kept, self._workdir, self._processes = seconds, kept, workdir, processes
        self._running: dict[str, str] = {}
        self._spent: dict[str, float] = {}  # seconds of a process on each running cell, until the last look
        self._looked = 0.0
        self._ended: Counter[str] = Counter()
        self._left = dict.fromkeys(self._cells)
        self._predicted = self._took = 0.0
        self._console = Console(stderr=True)
        self._shown = shown
        self._live = Live(console=self._console, auto_refresh=False) if shown and self._console.is_terminal else None

    def __enter__(self) -> Board:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, cell_id: str, text: str) -> None:
        """What a running cell is at."""
        self._spend()
        self._spent.setdefault(cell_id, 0.0)
        self._running[cell_id] = text
        self._draw()

    def ended(
        self,
        cell_id: str,
        outcome: str,
        error: str = "",
        final: Mapping[str, Any] | None = None,
        log: Path | None = None,
    ) -> None:
        """A cell ended: `done`, `kept` by another launch meanwhile, `failed`, `stopped`, or running `elsewhere`."""
        self._spend()
        took = self._spent.pop(cell_id, 0.0)
        if outcome == "done":
            self._predicted, self._took = self._predicted + self._seconds.get(cell_id, 0.0), self._took + took
        self._running.pop(cell_id, None)
        self._left.pop(cell_id, None)
        self._ended[outcome] += 1
        if self._shown:
            line = self._line(cell_id, outcome, error, final, log)
            if outcome in ("failed", "stopped") or not self._live:
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._draw()

    def seconds_left(self) -> float:
        """What is left by the prediction, corrected by what has been measured, over the processes."""
        factor = self._took / self._predicted if self._predicted else 1.0
        self._spend()
        gone = sum(min(spent, factor * self._seconds.get(i, 0.0)) for i, spent in self._spent.items())
        return max(0.0, factor * sum(self._seconds.get(i, 0.0) for i in self._left) - gone) / self._processes

    def summary(self) -> str:
        """The state of the sweep in a line."""
        done = self._kept + self._ended["done"] + self._ended["kept"]
        parts = [f"{done} of {self._kept + len(self._cells)} done"]
        parts += [f"{len(self._running)} running"] * bool(self._running)
        parts += [f"{self._ended[word]} {word}" for word in ("failed", "stopped", "elsewhere") if self._ended[word]]
        if self._left:
            parts.append(f"about {duration(self.seconds_left())} left")
        return ", ".join(parts)

    def _spend(self) -> None:
        """Shares out the time since the last look: cells that are trained together have one process among them."""
        now = time.monotonic()
        share = (now - self._looked) * min(1.0, self._processes / max(1, len(self._spent)))
        self._spent = {cell_id: spent + share for cell_id, spent in self._spent.items()}
        self._looked = now

    def _line(self, cell_id: str, outcome: str, error: str, final: Mapping[str, Any] | None, log: Path | None) -> str:
        label = self._cells[cell_id].label
        if outcome in ("failed", "stopped"):
            places = " and ".join(str(place) for place in (self._workdir / cell_id, log) if place)
            return f"{outcome}: {label}: {error} (look into {places})"
        test = (final or {}).get("test")
        result = f": test error {100 * (1 - test['accuracy']):.2f}%" if test else ""
        return f"{time.strftime('%H:%M:%S')} {outcome}: {label}{result}; {self.summary()}"

    def _draw(self) -> None:
        if not self._live:
            return
        table = Table("running", "at", title=self.summary(), title_justify="left", box=None)
        for cell_id, text in self._running.items():
            table.add_row(escape(self._cells[cell_id].label), escape(text))
        self._live.update(table, refresh=True)


class CellListener(Silence):
    """Tells how far one run is.

    Args:
        tell: what is told, in words.
    """

    def __init__(self, tell: Any):
        self._tell = tell

    def start(self, *, total_steps: int, step: int, batch_size: int) -> None:
        """The run begins."""
        self._total, self._batch_size = total_steps, batch_size
        self._first: tuple[int, float] | None = None  # the step and the time of the first call's end
        self._tell("compiling")

    def advance(self, step: int, seconds: float, steps: int, train: Mapping[str, float]) -> None:
        """A call ended."""
        now = time.monotonic()
        at, since = self._first or (step - steps, now - seconds)
        self._first = self._first or (step, now)  # before it something was compiled
        # By the clock: `seconds` is this run's share of a call that trains it with others.
        left = (self._total - step) * (now - since) / (step - at)
        rate = steps * self._batch_size / seconds
        self._tell(f"{step / self._total:.0%}, {rate:,.0f} img/s, {duration(left)} left")


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
