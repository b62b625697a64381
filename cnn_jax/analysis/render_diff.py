"""Two networks side by side, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from cnn_jax.analysis.comparison import FOLLOWS
from cnn_jax.analysis.render import LINES, operation, quantity, times
from cnn_jax.analysis.table import Row

if TYPE_CHECKING:
    from cnn_jax.analysis.comparison import Change, Diff


def rich_diff(diff: Diff) -> Group:
    """Two networks side by side, only where they differ, with the reasons numbered below."""
    before, after = diff.before, diff.after
    grid = RichTable(box=LINES, pad_edge=False, padding=(0, 1, 0, 0), show_footer=True)
    totals = (f"{table.total.params:,} params, {quantity(table.total.macs)}MACs" for table in (before, after))
    for name, total in zip(("layer", before.model, after.model), ("total", *totals), strict=True):
        grid.add_column(name, footer=total, overflow="fold")
    notes = _notes(diff)
    if notes:
        grid.add_column("why", overflow="fold")
    for change in diff.changes:
        sides = [_side(row, change.fields) for row in (change.before, change.after)]
        if change.kind == "moved":
            sides[1] += ", elsewhere in the order"
        why = [",".join(str(notes[said]) for said in _reasons(change))] if notes else []
        grid.add_row(*map(Text, (change.name, *sides, *why)))
    same = not diff.changes
    counted = "no layer differs" if same else f"{len(diff.changes)} layers differ"
    below = RichTable.grid(padding=(0, 2, 0, 0))
    for said, number in notes.items():
        below.add_row(Text(f" {number:2d}"), Text(said))
    return Group(grid, Text(counted), below)


def _notes(diff: Diff) -> dict[str, int]:
    """The reasons, each once, numbered in the order in which they are met."""
    met = dict.fromkeys(said for change in diff.changes for said in _reasons(change))
    # Where no network is of the catalogue, nothing is known of reasons.
    stated = any(change.why for change in diff.changes)
    return {said: number for number, said in enumerate(met, 1)} if stated else {}


def _reasons(change: Change) -> list[str]:
    return [FOLLOWS] if change.follows else [str(reason) for reason in change.why]


def _side(row: Row | None, fields: Sequence[str]) -> str:
    """What differs in a row, or all of it if it stands alone or has only moved."""
    if row is None:
        return "-"
    shown = [operation(row)] if not fields or set(fields) - {"output", "params"} else []
    shown += [times(row.output)] if not fields or "output" in fields else []
    shown += [f"{row.params:,} params"] if row.params and (not fields or "params" in fields) else []
    return ", ".join(shown)
