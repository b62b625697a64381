"""Pieces of Markdown: tables, code, words that are nothing but words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; headings that end in `:` align their column to the right."""
    rule = ["---:" if heading.endswith(":") else "---" for heading in headings]
    lines = [[heading.removesuffix(":") for heading in headings], rule, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: object) -> str:
    """Inline code in a cell of a table; nothing where there is nothing."""
    text = " ".join(str(text).split()).replace("|", "\\|")
    mark = "``" if "`" in text else "`"
    return f"{mark}{text}{mark}" if text else ""


def words(text: str) -> str:
    """Text of a docstring or a message in a cell: code in single backticks stays code, all else is words."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(
        part.replace("|", "\\|")
        if part.startswith("`")
        else re.sub(r"([\\|>*_\[\]{}#])", r"\\\1", part).replace("<", "&lt;")
        for part in parts
    )
