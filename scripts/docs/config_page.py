"""Every key of a config, from `cnn_jax/schema.py`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from cnn_jax import schema
from scripts.docs.markdown import code, table, words
from scripts.docs.templates import template

_INTRODUCTION = """# Config keys

A config is a file with `get_config`; every key can be changed on the command line,
`--config.optimizer.learning_rate=0.1`. A key that is not listed here is refused. What the keys mean is told in
[Training recipes](../training.md).
"""
_TITLES = {
    "": "Data, length and the rest",
    "model": "The network",
    "optimizer": "The update rule",
    "schedule": "The learning rate",
    "average": "Averages of weights",
}
_NAMES = {bool: "true or false", int: "whole number", float: "number", str: "word", tuple: "tuple", type(None): "None"}


def config_page() -> str:
    """The page."""
    parts = [_INTRODUCTION]
    for group, title in _TITLES.items():
        rows = [row(key) for key in schema.SCHEMA if key.rpartition(".")[0] == group]
        parts.append(f"\n## {title}\n\n" + table(("key", "default", "type", "legal"), rows))
        if group == "model":
            parts.append("\nAll other keys of `config.model` are keywords of that model: see [Models](models.md).\n")
        if group in ("optimizer", "schedule"):
            uses = schema.OPTIMIZERS if group == "optimizer" else schema.SCHEDULES
            parts.append(f"\nWhich of these mean something to which `config.{group}.name`; the others are refused:\n\n")
            rows = [(code(name), ", ".join(map(code, constants)) or "none") for name, constants in uses.items()]
            parts.append(table(("name", "keys"), rows))
    parts.append("\n## Patterns of parameters\n\n")
    parts.append(
        table(
            ("key", "default", "type", "legal"),
            [
                (code(f"{group}.PATTERN={number}"), code(field.default), _types(field), words(field.says))
                for group, (number, field) in schema.PATTERN_GROUPS.items()
            ],
        )
    )
    parts.append("\n## What does not go together\n\nKeys that are legal one by one and refused together:\n\n")
    parts.append(table(("key", "what is said"), [(code(key), words(said)) for key, said in rules()]))
    return "".join(parts)


def row(key: str) -> tuple[str, str, str, str]:
    """One key: its name, default, types and what is legal."""
    field = schema.SCHEMA[key]
    return code(key), code(repr(field.default)), _types(field), words(field.says)


def _types(field: schema.Field) -> str:
    types = [kind for kind in field.types if not (kind is int and float in field.types)]
    return " or ".join(_NAMES[kind] for kind in types)


def rules() -> Iterator[tuple[str, str]]:
    """The refusals of `check_combinations`, read from its source: the key and what is said of it."""
    for node in ast.walk(ast.parse(inspect.getsource(schema.check_combinations))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "refuse":
            key, why = node.args
            yield template(key), template(why)
