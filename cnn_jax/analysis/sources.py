"""Where the numbers of every layer come from, and why two networks differ.

The data stand beside the models, in `models/provenance/*.json`, one file per model file: a list of rules. A rule holds
for the networks its `of` names and for the layers its `layers` names, both patterns of `fnmatch`, several apart by
spaces; what holds for a family is written once and its variants add to it. Of the sources that hold for a layer the
last counts; its deviations and reasons are those of all rules that hold. Besides layers, `input` and `initializer`
have sources.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any

from cnn_jax import models
from cnn_jax.analysis.table import Row, Table
from cnn_jax.models.keywords import split_name

BESIDE_LAYERS = ("input", "initializer")
"""What has a source and is no layer."""


@dataclass(frozen=True)
class Rule:
    """One statement about some layers of some networks.

    Attributes:
        of: the networks, patterns of `family:variant`.
        layers: the layers, patterns of their names.
        source: where their numbers come from: paper, and section, table or figure.
        deviation: what is not as the paper has it.
        why: the reason, for what deviates or for what other networks do otherwise.
        erratum: the entry of the errata that says more.
    """

    of: str
    layers: str
    source: str = ""
    deviation: str = ""
    why: str = ""
    erratum: str = ""

    @property
    def reason(self) -> str:
        """The reason, after what deviates."""
        return f"{self.deviation}: {self.why}" if self.deviation else self.why

    def holds_for(self, layer: str) -> bool:
        """Whether a layer of this name is meant."""
        return _matches(self.layers, layer)


@dataclass(frozen=True)
class Reason:
    """Why a layer of one network is as it is; `source` and `erratum` may be empty."""

    model: str
    why: str
    source: str = ""
    erratum: str = ""

    def __str__(self) -> str:
        more = "; ".join(filter(None, (self.source, self.erratum and f"errata {self.erratum}")))
        return f"{self.model}: {self.why}" + (f" [{more}]" if more else "")


@dataclass(frozen=True)
class Origin:
    """What the rules say about one layer.

    Attributes:
        source: where its numbers come from; "" if no rule says so.
        deviations: what is not as its paper has it, each with the reason.
        why: reasons for what is the paper's own.
        errata: entries of the errata about it.
    """

    source: str = ""
    deviations: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    errata: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The origin as plain JSON data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, repr=False)
class Provenance:
    """The layers of one network with their origins; prints as a table.

    Attributes:
        table: the layers.
        origins: one per layer.
        beside: origins of `input` and `initializer`.
    """

    table: Table
    origins: tuple[Origin, ...]
    beside: dict[str, Origin]

    def to_dict(self) -> dict[str, Any]:
        """The layer table as in `Table.to_dict` with an `origin` in each layer, and `origins` of what is no layer."""
        document = self.table.to_dict()
        for layer, origin in zip(document["layers"], self.origins, strict=True):
            layer["origin"] = origin.to_dict()
        return document | {"origins": {name: origin.to_dict() for name, origin in self.beside.items()}}

    def __rich__(self):
        from cnn_jax.analysis.render_sources import rich_provenance

        return rich_provenance(self)

    def __str__(self) -> str:
        from cnn_jax.analysis.render import printed

        return printed(self.__rich__())

    __repr__ = __str__


def provenance(name: str, input_shape: Sequence[int] | None = None) -> Provenance:
    """Where the numbers of every layer of a network of the catalogue come from.

    A layer that keywords in the name have changed is marked as deviating from its variant.

    Args:
        name: as in `models.create`.
        input_shape: (H, W, C); by default what its paper uses.

    Raises:
        ConfigError: unknown name or keyword.
        GeometryError: as in `show`.
    """
    from cnn_jax.analysis.summary import show_named

    table = show_named(name, input_shape)
    rules = rules_of(name)
    changed = _changed_by_keywords(table)
    origins = tuple(_with_keywords(origin_of(rules, row.name), changed.get(row.name)) for row in table)
    return Provenance(table, origins, {name: origin_of(rules, name) for name in BESIDE_LAYERS})


def rules_of(name: str) -> tuple[Rule, ...]:
    """The rules about a network; none for a name that is not of the catalogue.

    Args:
        name: as in `models.create`; keywords are disregarded.
    """
    family, variant, _ = split_name(name)
    row = models.FAMILIES.get(family)
    if row is None:
        return ()
    full = f"{family}:{variant or row.default}"
    return tuple(rule for rule in _rules(row.model.split(".")[0]) if _matches(rule.of, full))


def origin_of(rules: Iterable[Rule], layer: str) -> Origin:
    """What the rules say together about a layer, or about `input` or `initializer`."""
    held = [rule for rule in rules if rule.holds_for(layer)]
    sources = [rule.source for rule in held if rule.source]
    return Origin(
        sources[-1] if sources else "",
        tuple(rule.reason for rule in held if rule.deviation),
        tuple(rule.why for rule in held if rule.why and not rule.deviation),
        tuple(dict.fromkeys(rule.erratum for rule in held if rule.erratum)),
    )


def reasons(before: str, after: str, layer_before: str, layer_after: str) -> tuple[Reason, ...]:
    """Why a layer of one network differs from its counterpart in another: the reasons that hold for one side only.

    Args:
        before: the first network's name.
        after: the second network's name.
        layer_before: the layer's name in the first network; where it has none, the second's.
        layer_after: the layer's name in the second network; where it has none, the first's.
    """
    old = {rule.why: _reason(before, rule) for rule in rules_of(before) if rule.why and rule.holds_for(layer_before)}
    new = {rule.why: _reason(after, rule) for rule in rules_of(after) if rule.why and rule.holds_for(layer_after)}
    apart = [old[why] for why in old if why not in new] + [new[why] for why in new if why not in old]
    given = {name: _keywords(name) for name in (before, after)}
    if given[before] != given[after]:
        apart += [Reason(name, f"the keywords {words} of its name") for name, words in given.items() if words]
    return tuple(apart)


def _reason(name: str, rule: Rule) -> Reason:
    return Reason(name, rule.reason, rule.source, rule.erratum)


@cache
def _rules(file: str) -> tuple[Rule, ...]:
    path = resources.files("cnn_jax.models").joinpath("provenance", f"{file}.json")
    return tuple(Rule(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ()


def _matches(patterns: str, word: str) -> bool:
    return any(fnmatchcase(word, pattern) for pattern in patterns.split())


def _keywords(name: str) -> str:
    """The keywords of a name as written; "" for a name without."""
    return ",".join(f"{key}={value}" for key, value in split_name(name)[2].items())


def _changed_by_keywords(table: Table) -> dict[str, str]:
    """For each layer that the keywords of the table's name have changed, what to say."""
    from cnn_jax.analysis.comparison import diff
    from cnn_jax.analysis.summary import show_named
    from cnn_jax.errors import GeometryError

    words = _keywords(table.model)
    if not words:
        return {}
    said = f"not the numbers of its source: the keywords {words} were given"
    try:
        plain = show_named(table.model.partition(",")[0], table.input)
    except GeometryError:  # the variant itself does not fit this input
        return dict.fromkeys((row.name for row in table), said)
    rows: list[Row] = [change.after for change in diff(plain, table).changes if change.after is not None]
    return {row.name: said for row in rows}


def _with_keywords(origin: Origin, said: str | None) -> Origin:
    if said is None:
        return origin
    return Origin(origin.source, (*origin.deviations, said), origin.why, origin.errata)
