"""The live table of a sweep: networks down, seeds across, on standard error."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cnn_jax.sweep.board import CellListener
from cnn_jax.sweep.cells import Cell


class LiveTable:
    """Shows how far every run is; without a terminal, one line for each run that ends.

    Args:
        rows: labels of the rows; a cell labelled `ROW seed N` stands in its row.
        shown: False for silence.
    """

    def __init__(self, rows: Sequence[str], shown: bool = True):
        self._texts: dict[str, dict[str, str]] = {row: {} for row in rows}
        self._console = Console(stderr=True)
        self._shown = shown
        self._live = Live(console=self._console, auto_refresh=False) if shown and self._console.is_terminal else None

    def __enter__(self) -> LiveTable:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            self._live.stop()

    def listen(self, cell: Cell) -> CellListener:
        """The listener of a cell that is about to run."""
        return CellListener(lambda text: self.show(cell, f"[cyan]{text}[/]"))

    def ended(self, cell: Cell, outcome: str, final: Mapping[str, Any] | None) -> None:
        """A cell ended, with the contents of its DONE if it has them."""
        if final is not None and final.get("test"):
            text = f"{100 * (1 - final['test']['accuracy']):.2f}%"
            note = f"{cell.label}: test error {text}" + (" (kept)" if outcome == "kept" else "")
        else:
            text, note = f"[red]{outcome}[/]", f"{cell.label}: {outcome}"
        self.show(cell, text)
        if self._shown and not self._live:
            self._console.print(f"{time.strftime('%H:%M:%S')} {note}", highlight=False)

    def show(self, cell: Cell, text: str) -> None:
        """Puts a text where the cell stands."""
        row, _, seed = cell.label.rpartition(" seed ")
        self._texts.setdefault(row, {})[seed] = text
        if self._live:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        seeds = sorted({seed for row in self._texts.values() for seed in row}, key=int)
        table = Table("network", *(f"seed {seed}" for seed in seeds), title="test error", title_justify="left")
        for row, texts in self._texts.items():
            table.add_row(escape(row), *(texts.get(seed, "") for seed in seeds))
        return table
