"""Configs: read from a file, override, check, and write in one canonical form.

A config file defines `get_config(arg="")` and returns an `ml_collections.ConfigDict`. What it leaves out is filled in
from `SCHEMA` of `schema.py`, what is not there is refused with the nearest legal key. Nothing here imports JAX.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import math
import re
import runpy
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import ml_collections

from cnn_jax.errors import ConfigError
from cnn_jax.schema import GROUPS, LENGTHS, PATTERN_GROUPS, SCHEMA, check_combinations, pattern_group

Config: TypeAlias = Any
"""A ConfigDict, or a mapping of the same keys; the type of ConfigDict would tell a checker nothing of them."""


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Reads a config, applies overrides, fills in what is missing and checks everything.

    Args:
        path: a Python file with `get_config(arg="")`, `file.py:arg` to hand it an argument, or the `config.json` of a
            workdir.
        overrides: `key=value` strings such as `"optimizer.learning_rate=0.1"` or `"model.name=vgg:A"`; a leading
            `--config.` is allowed. Of `total_steps`, `total_epochs` and `total_examples`, one given here replaces the
            file's.

    Returns:
        The resolved config, locked.

    Raises:
        ConfigError: for a missing file, an unknown key, a wrong type or an illegal value; one line each.
    """
    return resolve(override(_read(str(path)), overrides))


def override(config: Config, overrides: Iterable[str]) -> dict[str, Any]:
    """Applies `key=value` strings to a config; not resolved yet, keys dotted.

    Raises:
        ConfigError: an unknown key, or a string without a value.
    """
    flat = _flatten(config)
    given = dict(_split_override(text) for text in overrides)
    if any(given.get(key) not in (None, "None") for key in LENGTHS):
        flat = {key: value for key, value in flat.items() if key not in LENGTHS}
    for key, text in given.items():
        _known(key)
        flat[key] = _parse(key, text, like=flat.get(key))
    return flat


def resolve(config: Config) -> Config:
    """Fills in the defaults of a config, nested or with dotted keys, and checks every key and value.

    Raises:
        ConfigError: names the key, its value and what would be legal.
    """
    flat = _flatten(config)
    for key in flat:
        _known(key)
    flat = {key: field.default for key, field in SCHEMA.items()} | flat
    for key, value in flat.items():
        flat[key] = _checked(key, value)
    lengths = [key for key in LENGTHS if flat[key] is not None]
    if len(lengths) != 1:
        found = " and ".join(lengths) if lengths else "none"
        raise ConfigError(7, f"config sets {found} of {', '.join(LENGTHS)}: set exactly one")
    check_combinations(flat)
    return ml_collections.ConfigDict(_nest(flat)).lock()


def to_dict(config: Config) -> dict[str, Any]:
    """The config as plain nested dicts, keys sorted, tuples as lists: what JSON holds."""
    return json.loads(canonical_json(config))


def canonical_json(config: Config) -> str:
    """One line of JSON that is equal for equal configs: keys sorted, whole floats written as integers."""
    flat = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in _flatten(config).items()}
    return json.dumps(_nest(flat), sort_keys=True, separators=(",", ":"), allow_nan=False)


def run_id(config: Config) -> str:
    """Twelve hexadecimal digits of the sha256 of the canonical config."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()[:12]


def difference(ours: Config, theirs: Config) -> list[str]:
    """What differs between two configs, a line per key: `key: ours, not theirs`."""
    a, b = _flatten(to_dict(ours)), _flatten(to_dict(theirs))
    return [f"{k}: {a.get(k, 'unset')!r}, not {b.get(k, 'unset')!r}" for k in sorted(a | b) if a.get(k) != b.get(k)]


def _read(path: str) -> Config:
    name, _, arg = path.partition(".py:")
    file = Path(name + ".py" if arg or path.endswith(".py:") else path)
    if not file.is_file():
        raise ConfigError(1, f"config file {file} does not exist")
    if file.suffix == ".json":
        try:
            config = json.loads(file.read_text())
        except ValueError as error:
            raise ConfigError(2, f"config file {file} is not JSON: {error}") from error
    else:
        config = _call_get_config(file, arg)
    if not isinstance(config, (Mapping, ml_collections.ConfigDict)):
        raise ConfigError(2, f"config file {file} gives a {type(config).__name__}, not a ConfigDict")
    return config


def _call_get_config(file: Path, arg: str) -> Any:
    try:
        get_config = runpy.run_path(str(file)).get("get_config")
        if get_config is None:
            raise ConfigError(2, f"config file {file} defines no get_config(arg='')")
        return get_config(arg) if arg else get_config()
    except ConfigError:
        raise
    except Exception as error:
        frames = reversed(traceback.extract_tb(error.__traceback__))
        line = next((frame.lineno for frame in frames if frame.filename == str(file)), 0)
        raise ConfigError(2, f"config file {file}, line {line}: {type(error).__name__}: {error}") from error


def _split_override(text: str) -> tuple[str, str]:
    key, equals, value = text.removeprefix("--").removeprefix("config.").partition("=")
    if not equals:
        raise ConfigError(3, f"override {text!r} has no value: write {key}=VALUE")
    return key, value


def _known(key: str) -> None:
    if key in SCHEMA or key.startswith("model.") or pattern_group(key):
        return
    if key in PATTERN_GROUPS:
        raise ConfigError(4, f"config.{key} is a group, not a value: set config.{key}.PATTERN={PATTERN_GROUPS[key][0]}")
    if key in GROUPS:
        inside = ", ".join(name for name in SCHEMA if name.startswith(key + "."))
        raise ConfigError(4, f"config.{key} is a group, not a value: set {inside}")
    legal = list(SCHEMA)
    near = difflib.get_close_matches(key, legal, n=1) or difflib.get_close_matches(
        key.rpartition(".")[2], [name.rpartition(".")[2] for name in legal], n=1
    )
    # The nearest last part stands for its full key, so that `lerning_rate` finds `optimizer.learning_rate`.
    full = next((name for name in legal if near and (name == near[0] or name.endswith("." + near[0]))), None)
    hint = f"did you mean config.{full}?" if full else "legal keys: " + ", ".join(legal)
    raise ConfigError(4, f"unknown key config.{key}: {hint}")


def _parse(key: str, text: str, like: Any) -> Any:
    """A value from the command line; what a string field takes is never read as Python."""
    field = SCHEMA.get(key)
    if field is not None and field.types == (str,):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        lowered = {"true": True, "false": False, "none": None, "nan": math.nan, "inf": math.inf, "-inf": -math.inf}
        value = lowered.get(text.lower(), text)
    if field is not None and field.types == (tuple,) and isinstance(value, str):
        # A comma before `key=` is inside an entry: flip,pad_crop:4,mode=reflect are two.
        return tuple(part for part in re.split(r",(?!\w+=)", value) if part)
    if field is not None and field.types == (tuple,) and not isinstance(value, (tuple, list)):
        return (value,)
    if (isinstance(like, str) or (field is not None and str in field.types and value is not None)) and not isinstance(
        value, str
    ):
        return text
    return value


def _checked(key: str, value: Any) -> Any:
    value = tuple(value) if isinstance(value, list) else value
    group = pattern_group(key)
    field = SCHEMA.get(key) if group is None else PATTERN_GROUPS[group][1]
    if field is None:
        return value
    given = value
    if int in field.types and float not in field.types and isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e5 is how people write a whole number of steps
    if float in field.types and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)  # a learning rate of 1e20 comes back from JSON whole
        except OverflowError:
            value = math.inf
    wrong_type = not isinstance(value, field.types) or (isinstance(value, bool) and bool not in field.types)
    if wrong_type or (isinstance(value, float) and not math.isfinite(value)) or not field.legal(value):
        wanted = field.says or " or ".join(t.__name__ for t in field.types)
        raise ConfigError(5 if wrong_type else 6, f"config.{key}={given!r} must be {wanted}")
    return value


def _flatten(config: Config, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, (Mapping, ml_collections.ConfigDict)):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + str(key)] = value
    return flat


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(".")
        at = nested
        for group in groups:
            at = at.setdefault(group, {})
        at[last] = value
    return nested
