"""What differs between two networks, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from cnn_jax.analysis.sources import Reason, reasons
from cnn_jax.analysis.table import Row, Table

FOLLOWS = "follows from the layers before it"
_COMPARED = ("type", "kernel", "strides", "padding", "dilation", "groups", "output", "params")
_TOTALS = ("params", "weights", "macs", "activations", "receptive_field", "jump")


@dataclass(frozen=True)
class Change:
    """One place where two networks differ.

    Attributes:
        kind: "changed", "moved" (elsewhere in the order), "removed" (only the first has it) or "added" (only the
            second has it).
        before: the first network's row, if any.
        after: the second network's row, if any.
        fields: names of what differs in a row that both have.
        why: the reasons, as far as the networks' sources state them.
    """

    kind: str
    before: Row | None
    after: Row | None
    fields: tuple[str, ...] = ()
    why: tuple[Reason, ...] = ()

    @property
    def follows(self) -> bool:
        """Whether it only passes on what layers before it have changed: the number of its input's channels."""
        old, new = self.before, self.after
        if old is None or new is None or self.kind == "moved" or not set(self.fields) <= {"output", "params"}:
            return False
        if not (old.weights or new.weights):
            return True
        return old.output[-1:] == new.output[-1:] and old.params - old.weights == new.params - new.weights

    @property
    def name(self) -> str:
        """The layer's name; where the networks call it differently, both."""
        return " -> ".join(dict.fromkeys(row.name for row in (self.before, self.after) if row is not None))


@dataclass(frozen=True, repr=False)
class Diff:
    """Differences of two tables, in the order of their layers; empty for networks of the same layers.

    Attributes:
        before: the first table.
        after: the second table.
        changes: what differs, in order.
    """

    before: Table
    after: Table
    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def to_dict(self) -> dict[str, Any]:
        """The differences as plain JSON data."""
        a, b = self.before.total.to_dict(), self.after.total.to_dict()
        return {
            "models": [self.before.model, self.after.model],
            "inputs": [list(self.before.input), list(self.after.input)],
            "changes": [_change(change) for change in self.changes],
            "total": {name: [a[name], b[name]] for name in _TOTALS},
        }

    def __rich__(self):
        from cnn_jax.analysis.render_diff import rich_diff

        return rich_diff(self)

    def __str__(self) -> str:
        from cnn_jax.analysis.render import printed

        return printed(self.__rich__())

    __repr__ = __str__


def diff(before: Table, after: Table) -> Diff:
    """Compares two layer tables.

    Layers of the same name are the same layer; what is left between two of them is paired by its type, in order.
    Compared are type, kernel, strides, padding, dilation, groups, output and parameters. What follows from an earlier
    layer alone, such as the receptive field or the size of a map, is no difference of its own. Tables named after
    networks of the catalogue get the reasons that their sources state.
    """
    homes = {row.name: row for row in before.layers}
    names = {row.name for row in after.layers}
    changes: list[Change] = []
    for olds, news in _aligned(before.layers, after.layers):
        same = len(olds) == len(news) == 1 and olds[0].name == news[0].name
        moved = [] if same else [new for new in news if new.name in homes]
        changes += [Change("moved", homes[new.name], new, _differing(homes[new.name], new)) for new in moved]
        if not same:
            olds, news = [old for old in olds if old.name not in names], [new for new in news if new.name not in homes]
        for old, new in _paired(olds, news):
            if old is None or new is None:
                changes.append(Change("removed" if old else "added", old, new))
            elif fields := _differing(old, new):
                changes.append(Change("changed", old, new, fields))
    return Diff(before, after, tuple(_explained(change, before.model, after.model) for change in changes))


def _explained(change: Change, before: str, after: str) -> Change:
    if change.follows:
        return change
    rows = [row for row in (change.before, change.after) if row is not None]
    return replace(change, why=reasons(before, after, rows[0].name, rows[-1].name))


def _differing(old: Row, new: Row) -> tuple[str, ...]:
    """Names of what differs, or none where only the size of the map does, which an earlier layer has decided."""
    fields = tuple(name for name in _COMPARED if getattr(old, name) != getattr(new, name))
    follows = fields == ("output",) and old.output[-1:] == new.output[-1:] and len(old.output) == len(new.output) > 1
    return () if follows else fields


def _aligned(before: Sequence[Row], after: Sequence[Row]) -> list[tuple[Sequence[Row], Sequence[Row]]]:
    """Runs of rows that belong together: single rows of the same name, and what stands between them."""
    matcher = SequenceMatcher(None, [row.name for row in before], [row.name for row in after], autojunk=False)
    runs: list[tuple[Sequence[Row], Sequence[Row]]] = []
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            runs += [(before[i + k : i + k + 1], after[j + k : j + k + 1]) for k in range(i_end - i)]
        else:
            runs.append((before[i:i_end], after[j:j_end]))
    return runs


def _paired(olds: Sequence[Row], news: Sequence[Row]) -> list[tuple[Row | None, Row | None]]:
    """Rows of two runs side by side where their types follow each other alike."""
    pairs: list[tuple[Row | None, Row | None]] = []
    matcher = SequenceMatcher(None, [row.type for row in olds], [row.type for row in news], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            pairs += list(zip(olds[i:i_end], news[j:j_end], strict=True))
        else:
            pairs += [(old, None) for old in olds[i:i_end]] + [(None, new) for new in news[j:j_end]]
    return pairs


def _change(change: Change) -> dict[str, Any]:
    shown = _COMPARED if change.kind in ("added", "removed") else change.fields

    def chosen(row: Row | None) -> dict[str, Any] | None:
        if row is None:
            return None
        data = row.to_dict()
        return {"name": row.name} | {name: data[name] for name in shown}

    data = {"kind": change.kind, "name": change.name, "fields": list(change.fields)}
    data |= {"before": chosen(change.before), "after": chosen(change.after)}
    return data | {"follows": change.follows, "why": [asdict(reason) for reason in change.why]}
