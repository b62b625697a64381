"""What a benchmark has found, as JSON that is whole after every block."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnn_jax.bench.blocks import Spread, geometric_mean, ratios, spread

SIGNIFICANT = 5


class Target(NamedTuple):
    """What is to be reached against a peer, or by ourselves.

    Attributes:
        peer: its short name; "" for a figure of ours alone.
        floor: below this something is wrong; None for no floor.
        goal: what is aimed at.
        figure: the name of what is measured, `ratio` or one of a row's figures.
    """

    peer: str
    floor: float | None
    goal: float | None
    figure: str = "ratio"


@dataclasses.dataclass
class Row:
    """One comparison: a case and a peer.

    Attributes:
        case: what was run, such as a model's name.
        peer: the other side's short name; "" where there is none.
        ours: seconds of ours, a number a block.
        theirs: seconds of the peer.
        ours_work: how much work a block of ours is.
        theirs_work: how much a block of the peer is, in the same unit; slow peers do less.
        images: how many images a block of ours trains on or reads, 0 where none are counted.
        figures: further numbers by name, lists with one a block.
        facts: whatever else a reader should know: the proof of the same work, seconds of compiling, sizes.
    """

    case: str
    peer: str
    ours: list[float] = dataclasses.field(default_factory=list)
    theirs: list[float] = dataclasses.field(default_factory=list)
    ours_work: float = 1.0
    theirs_work: float = 1.0
    images: int = 0
    figures: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def ratios(self) -> list[float]:
        """How many times faster ours is, block by block."""
        share = self.ours_work / self.theirs_work
        return [ratio * share for ratio in ratios(self.theirs, self.ours)]

    def of(self, figure: str) -> list[float]:
        """The values of a figure, one a block."""
        if figure == "ratio":
            return self.ratios()
        if figure == "images_per_second":
            return [self.images / seconds for seconds in self.ours] if self.images else []
        return self.figures.get(figure, [])

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds."""
        return {
            "case": self.case,
            "peer": self.peer,
            "ratio": _spread(self.ratios()),
            "ratios": _rounded(self.ratios()),
            "seconds": {"ours": _rounded(self.ours), "theirs": _rounded(self.theirs)},
            "work": {"ours": self.ours_work, "theirs": self.theirs_work, "images": self.images},
            "figures": {
                name: {**(_spread(self.of(name)) or {}), "values": _rounded(self.of(name))}
                for name in ("images_per_second", *self.figures)
                if self.of(name)
            },
            "facts": self.facts,
        }


@dataclasses.dataclass
class Result:
    """A benchmark's result.

    Attributes:
        head: what stands above: id, what is measured, preset, environment.
        targets: what is to be reached.
        sink: is given the whole as a dict after every block.
        rows: the comparisons.
        absent: peers that are not there, by name, with the reason.
        notes: what a reader has to know besides.
        error: why it ended early, or None.
        complete: whether everything was measured.
    """

    head: Mapping[str, Any]
    targets: tuple[Target, ...]
    sink: Callable[[dict[str, Any]], None] = lambda document: None
    rows: list[Row] = dataclasses.field(default_factory=list)
    absent: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    error: str | None = None
    complete: bool = False
    started: float = dataclasses.field(default_factory=time.time)

    def row(self, case: str, peer: str, **fields: Any) -> Row:
        """Adds a comparison."""
        self.rows.append(Row(case, peer, **fields))
        return self.rows[-1]

    def save(self) -> None:
        """Hands over what there is."""
        self.sink(self.to_dict())

    def summary(self) -> list[dict[str, Any]]:
        """Per target the geometric mean over the cases, block by block, and of those the median and the range."""
        return [{**target._asdict(), **self._of(target)} for target in self.targets]

    def _of(self, target: Target) -> dict[str, Any]:
        columns = [row.of(target.figure) for row in self.rows if not target.peer or row.peer == target.peer]
        columns = [column for column in columns if column]
        blocks = [geometric_mean(values) for values in zip(*columns, strict=False)]
        found = spread(blocks)
        reached = None if found is None else _reached(target, found.median)
        return {"cases": len(columns), "value": _spread(blocks), "reached": reached}

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds."""
        return {
            **self.head,
            "complete": self.complete,
            "error": self.error,
            "seconds": round(time.time() - self.started, 1),
            "summary": self.summary(),
            "rows": [row.to_dict() for row in self.rows],
            "absent": self.absent,
            "notes": self.notes,
        }


_LESS_IS_BETTER = ("seconds",)


def _reached(target: Target, value: float) -> str:
    better = (lambda mark: value <= mark) if target.figure in _LESS_IS_BETTER else (lambda mark: value >= mark)
    if target.goal is not None and better(target.goal):
        return "goal"
    return "floor" if target.floor is None or better(target.floor) else "below"


def _spread(values: list[float]) -> dict[str, float] | None:
    found = spread(values)
    return found and Spread(*_rounded(list(found)))._asdict()


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.{SIGNIFICANT}g}") for value in values]
