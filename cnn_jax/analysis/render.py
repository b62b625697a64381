"""The layer table as the papers print it: for a terminal, Markdown, LaTeX and a notebook."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from html import escape

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from cnn_jax.analysis.layout import ruled
from cnn_jax.analysis.table import Number, Row, Table, once

WIDTH = 100
_PAGE = 40  # lines of a table that fit on one page
LINES = box.Box("    \n    \n ── \n    \n    \n ── \n    \n    \n")
_NUMBERS = frozenset({"rest", "params", "MACs", "RF", "jump"})
Cells = dict[str, str]


def columns(table: Table) -> list[Cells]:
    """The rows as text, then the totals; "rest", the remainders, only where a layer leaves one."""
    total = table.total
    sums = {"params": f"{total.params:,}", "MACs": f"{total.macs:,}"}
    place = {"RF": short(once(total.receptive_field)), "jump": short(once(total.jump))}
    names = {"layer": "total", "operation": "", "output": "", "rest": ""}
    rows = [*map(_cells, table), names | sums | place]
    if not any(row["rest"] for row in rows):
        for row in rows:
            del row["rest"]
    return rows


def _cells(row: Row) -> Cells:
    rest = row.remainder if row.remainder and any(row.remainder) else None
    return {
        "layer": row.name,
        "operation": operation(row),
        "output": times(row.output),
        "rest": short(once(rest)),
        "params": f"{row.params:,}" if row.params else "",
        "MACs": f"{row.macs:,}" if row.macs else "",
        "RF": short(once(row.receptive_field)),
        "jump": short(once(row.jump)),
    }


def operation(row: Row) -> str:
    """What the layer does, as in the papers: `conv 11x11/4`, `max pool 3x3/2 pad 1`."""
    parts = [row.type.replace("_", " ")]
    if row.kernel:
        strides = once(row.strides) or 1
        parts.append(times(row.kernel) + (f"/{short(strides)}" if strides != 1 else ""))
    if row.padding and any(map(any, row.padding)):
        parts.append(f"pad {_sides(row.padding)}")
    if row.dilation and max(row.dilation) > 1:
        parts.append(f"dilation {short(once(row.dilation))}")
    if row.groups and row.groups > 1:
        parts.append(f"groups {row.groups}")
    return " ".join(parts)


def footer(table: Table) -> list[str]:
    """The totals in words, with units."""
    total = table.total
    with_input = total.activations + math.prod(table.input)
    lines = [
        f"{quantity(total.params)} parameters, {quantity(total.weights)} of them weights"
        + (f"; {quantity(total.batch_stats)} running statistics" if total.batch_stats else ""),
        f"{quantity(total.macs)} multiply-accumulates (MACs; twice as many FLOPs)",
        f"{quantity(total.activations)} activations, those of conv, pool and dense layers "
        f"({quantity(with_input)} with the input)",
        f"{quantity(total.bytes_forward)}B for one image forward, {quantity(total.bytes_training)}B to train on one",
    ]
    if total.receptive_field is not None:
        field, jump = short(once(total.receptive_field)), short(once(total.jump))
        lines.append(f"receptive field {field}, jump {jump} pixels, of the last feature map")
    return [" ".join(line.split()) for line in lines]


def rich_table(table: Table) -> Group:
    """The table for a rich console."""
    *rows, total = columns(table)
    title = f"{table.model}  {times(table.input)}"
    grid = RichTable(
        title=title, title_justify="left", box=LINES, show_footer=True, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in total:
        side = "right" if name in _NUMBERS else "left"
        grid.add_column(name, footer=total[name], justify=side, no_wrap=name != "layer", overflow="fold")
    for row, layer in zip(rows, table, strict=True):
        grid.add_row(*map(Text, row.values()), style=None if layer.params or layer.macs else "dim")
    return Group(grid, Text("\n".join(footer(table))))


def text(table: Table) -> str:
    """The table as plain text, no wider than `WIDTH`."""
    *rows, total = columns(table)
    right = {i for i, name in enumerate(total) if name in _NUMBERS}
    body = ruled([*total], [[*row.values()] for row in rows], [*total.values()], right, WIDTH)
    notes = [wrapped for note in footer(table) for wrapped in textwrap.wrap(note, WIDTH)]
    return "\n".join([f"{table.model}  {times(table.input)}", "", *body, "", *notes])


def printed(renderable) -> str:
    """What a console of `WIDTH` columns without colour shows."""
    stream = io.StringIO()
    Console(file=stream, width=WIDTH, color_system=None, force_terminal=False).print(renderable)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines())


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown."""
    *rows, total = columns(table)
    rule = ["---:" if name in _NUMBERS else "---" for name in total]
    sums = [f"**{cell}**" if cell else "" for cell in total.values()]
    lines = ["| " + " | ".join(line) + " |" for line in (total, rule, *(row.values() for row in rows), sums)]
    notes = (f"- {line}" for line in footer(table))
    return "\n".join([f"### {table.model} ({times(table.input)})", "", *lines, "", *notes])


def latex(table: Table) -> str:
    """The table in LaTeX, for the packages booktabs and, where it is longer than a page, longtable."""
    *rows, total = columns(table)
    alignment = "".join("r" if name in _NUMBERS else "l" for name in total)

    def line(cells: Cells) -> str:
        written = (_tex(cell) if name == "layer" else _tex_times(_tex(cell)) for name, cell in cells.items())
        return " & ".join(written) + r" \\"

    body, header, sums = map(line, rows), line({name: name for name in total}), line(total)
    caption = f"% {table.model}, input {times(table.input)}"
    if len(rows) > _PAGE:
        return "\n".join([
            caption, r"% \usepackage{booktabs,longtable}",
            rf"\begin{{longtable}}{{{alignment}}}", r"\toprule", header, r"\midrule", r"\endhead",
            *body, r"\midrule", sums, r"\bottomrule", r"\end{longtable}",
        ])  # fmt: skip
    return "\n".join([
        caption, r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", header, r"\midrule",
        *body, r"\midrule", sums, r"\bottomrule", r"\end{tabular}",
    ])  # fmt: skip


def html(table: Table) -> str:
    """The table for a notebook."""
    *rows, total = columns(table)
    sides = ["right" if name in _NUMBERS else "left" for name in total]

    def line(cells: Iterable[str], tag: str = "td") -> str:
        pairs = zip(cells, sides, strict=True)
        rule = ";border-top:1px solid;border-bottom:1px solid" if tag == "th" else ""
        style = "padding:1px 8px;font-variant-numeric:tabular-nums;text-align:"
        inner = "".join(f'<{tag} style="{style}{side}{rule}">{escape(cell)}</{tag}>' for cell, side in pairs)
        return f"<tr>{inner}</tr>"

    body = "".join(line(row.values()) for row in rows)
    caption = f'<caption style="text-align:left"><b>{escape(table.model)}</b> {times(table.input)}</caption>'
    head, foot = line(total, "th"), line(total.values(), "th")
    notes = "<br>".join(map(escape, footer(table)))
    parts = f"{caption}<thead>{head}</thead><tbody>{body}</tbody><tfoot>{foot}</tfoot>"
    return f'<table style="border-collapse:collapse">{parts}</table><p>{notes}</p>'


def times(sizes: Sequence[int]) -> str:
    """Sizes as 3x3."""
    return "x".join(map(str, sizes))


def short(value: Number | Sequence[Number] | None) -> str:
    """A number, or one per axis, in few characters."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    return "x".join(map(short, value))


def quantity(value: float) -> str:
    """A number with three or four digits and a unit: 138.4 M."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:g} "


def _sides(padding: Sequence[tuple[int, int]]) -> str:
    sides = {side for pair in padding for side in pair}
    pairs = dict.fromkeys(padding)
    return str(sides.pop()) if len(sides) == 1 else "".join(f"({lo},{hi})" for lo, hi in pairs)


_TEX = str.maketrans(
    {character: "\\" + character for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def _tex(cell: str) -> str:
    return cell.translate(_TEX)


def _tex_times(cell: str) -> str:
    """Sizes as 3x3 with a multiplication sign."""
    return re.sub(r"(?<=\d)x(?=\d)", r"$\\times$", cell)
