"""A table as lines of plain text of limited width.

A console of rich does the same and more, at a millisecond a row: too slow for a network of a thousand layers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

_GAP = "  "


def ruled(
    header: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str], right: Collection[int], width: int
) -> list[str]:
    """Header, rows and total, ruled and aligned.

    Names in the first column are paths. Where they make a line too long, rows of one module stand indented under its
    name; where even that is too long, names are folded.

    Args:
        header: names of the columns.
        rows: as many cells each.
        total: the last row.
        right: columns set flush right.
        width: the longest a line may be.
    """
    body = [list(row) for row in rows]
    others = [max(len(row[i]) for row in (header, *body, total)) for i in range(1, len(header))]
    room = width - 1 - sum(others) - len(_GAP) * len(others)
    if max(len(row[0]) for row in (header, *body, total)) > room:
        body = list(_under_modules(body))
    first = min(room, max(len(row[0]) for row in (header, *body, total) if len(row) > 1))
    sizes = [first, *others]
    rule = " " + "─" * (sum(sizes) + len(_GAP) * len(others))
    set_rows = [line for row in body for line in (_folded(row, sizes, right) if len(row) > 1 else [" " + row[0]])]
    return [*_folded(header, sizes, right), rule, *set_rows, rule, *_folded(total, sizes, right)]


def _under_modules(rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Rows with a line of one cell, the module's name, before its first one, and names without it."""
    above = ""
    for name, *cells in rows:
        module, _, leaf = name.rpartition("/")
        if module != above and module:
            yield [module]
        above = module
        yield [f"  {leaf}" if module else leaf, *cells]


def _folded(row: Sequence[str], sizes: Sequence[int], right: Collection[int]) -> Iterator[str]:
    """One row as one line, or more where its name is longer than its column."""
    name, *cells = row
    pieces = [name[i : i + sizes[0]] for i in range(0, len(name), sizes[0])] or [""]
    for piece in pieces:
        padded = (
            cell.rjust(size) if i in right else cell.ljust(size)
            for i, (cell, size) in enumerate(zip((piece, *cells), sizes, strict=True))
        )
        yield (" " + _GAP.join(padded)).rstrip()
        cells = ["" for _ in cells]
