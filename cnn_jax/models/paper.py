"""Where a network was published."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """A publication: title, authors, year, and where it appeared."""

    title: str
    authors: str
    year: int
    where: str
