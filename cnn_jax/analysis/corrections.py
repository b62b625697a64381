"""The errata of the lectures and papers: what is printed, what is right, and why."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Erratum:
    """One place where a lecture, a paper or a code says something else than another.

    Attributes:
        id: D01, D02, ...
        topic: what it is about.
        where: lectures, papers or codes that say it.
        said: what they say.
        right: the right value.
        reason: why.
        source: where the right value comes from.
    """

    id: str
    topic: str
    where: tuple[str, ...]
    said: str
    right: str
    reason: str
    source: str


@dataclass(frozen=True, repr=False)
class Errata:
    """All of them, in order; prints as a list."""

    entries: tuple[Erratum, ...]

    def __iter__(self):
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def to_dict(self) -> list[dict[str, Any]]:
        """The errata as plain JSON data."""
        return [asdict(entry) | {"where": list(entry.where)} for entry in self.entries]

    def __rich__(self):
        from rich.console import Group
        from rich.text import Text

        return Group(*(Text(_lines(entry)) for entry in self.entries))

    def __str__(self) -> str:
        return "\n".join(map(_lines, self.entries))

    __repr__ = __str__


@cache
def errata() -> Errata:
    """The errata, from the data file beside this module."""
    entries = json.loads(resources.files("cnn_jax.analysis").joinpath("errata.json").read_text(encoding="utf-8"))
    return Errata(tuple(Erratum(**(entry | {"where": tuple(entry["where"])})) for entry in entries))


def _lines(entry: Erratum) -> str:
    places = ", ".join(entry.where)
    return (
        f"{entry.id}  {entry.topic}\n"
        f"     said   {entry.said}  ({places})\n"
        f"     right  {entry.right}\n"
        f"     why    {entry.reason}\n"
        f"     source {entry.source}\n"
    )
