"""Origins of layers, and named stages, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from cnn_jax.analysis.render import LINES, operation, short, times
from cnn_jax.analysis.table import once

if TYPE_CHECKING:
    from cnn_jax.analysis.sources import Origin, Provenance
    from cnn_jax.analysis.stages import Taps


def rich_provenance(provenance: Provenance) -> Group:
    """One row per layer: what it does and where that comes from."""
    table = provenance.table
    title = f"{table.model}  {times(table.input)}"
    grid = RichTable(title=title, title_justify="left", box=LINES, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("layer", overflow="fold")
    grid.add_column("operation", overflow="fold")
    grid.add_column("source")
    for name, origin in provenance.beside.items():
        grid.add_row(Text(name), Text(times(table.input) if name == "input" else ""), Text(_said(origin)))
    for row, origin in zip(table, provenance.origins, strict=True):
        does = operation(row) + (f", {row.output[-1]:,}" if row.params else "")
        grid.add_row(Text(row.name), Text(does), Text(_said(origin)), style=None if row.params else "dim")
    deviating = sum(bool(origin.deviations) for origin in provenance.origins)
    note = f"{deviating} of {len(table)} layers deviate from their source" if deviating else "no layer deviates"
    return Group(grid, Text(note))


def _said(origin: Origin) -> str:
    lines = [origin.source or "-", *(f"deviates: {line}" for line in origin.deviations)]
    lines += [f"why: {line}" for line in origin.why]
    lines += [f"see: errata {', '.join(origin.errata)}"] if origin.errata else []
    return "\n".join(lines)


def rich_taps(taps: Taps) -> Group:
    """One row per named stage."""
    title = f"{taps.model}  {times(taps.input)}"
    grid = RichTable(title=title, title_justify="left", box=LINES, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("tap", "output", "jump", "RF", "of layer"):
        grid.add_column(name, justify="right" if name in ("jump", "RF") else "left", no_wrap=True)
    for tap in taps:
        grid.add_row(*map(Text, _cells(tap)))
    return Group(grid, Text("" if len(taps) else "no named stage"))


def _cells(tap) -> Iterable[str]:
    numbers = (short(once(tap.jump)), short(once(tap.receptive_field)))
    return (tap.name, times(tap.output), *numbers, tap.layer)
