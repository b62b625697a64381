"""Keywords of models: read from a name, checked against the annotations of the model's fields. No JAX."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin

from cnn_jax.errors import ConfigError

# What a number must be beyond its type: (test, words). Other numbers must be at least 0.
_RANGES = {
    "num_classes": (lambda v: v >= 1, "at least 1"),
    "width": (lambda v: 0 < v < float("inf"), "above 0"),
    "dropout": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "kernel_size": (lambda v: v >= 1, "at least 1"),
    "strides": (lambda v: v >= 1, "at least 1"),
    "whitening": (lambda v: v >= 1, "at least 1"),
    "norm_momentum": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "feature_group_count": (lambda v: v >= 1, "at least 1"),
}
_RANGES |= dict.fromkeys(
    ("features", "head_features", "stem_features", "entry_features", "exit_features", "stage_sizes"),
    (lambda v: v >= 1, "at least 1 each"),
)
_AT_LEAST_0 = (lambda v: 0 <= v < float("inf"), "at least 0")


def did_you_mean(word: str, legal: Iterable[str]) -> str:
    """ "; did you mean 'x'? Legal: ..." if some legal word is close, else "; legal: ..."."""
    legal = list(legal)
    close = difflib.get_close_matches(word, legal, n=1, cutoff=0.6)
    return (f"; did you mean {close[0]!r}? Legal: " if close else "; legal: ") + ", ".join(legal)


def split_name(name: str) -> tuple[str, str, dict[str, str]]:
    """Takes "vgg:A,width=0.25,features=(8,16)" apart into family, variant ("" if none) and keywords as written.

    Raises:
        ConfigError: a part after the first is not `keyword=value`, or a keyword is given twice.
    """
    first, *rest = re.split(r",(?![^(]*\))", name)
    family, _, variant = first.strip().partition(":")
    written: dict[str, str] = {}
    for part in rest:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not (key and equals and value):
            raise ConfigError(40, f"model name {name!r}: {part.strip()!r} is not keyword=value")
        if key in written:
            raise ConfigError(41, f"model name {name!r}: keyword {key!r} is given twice")
        written[key] = value
    return family, variant, written


def coerce(owner: str, keyword: str, value: Any, hint: Any) -> Any:
    """`value`, which may be a string from a name, as the type `hint` of the field.

    Raises:
        ConfigError: the value does not suit; the message says what would.
    """
    try:
        value = _as(value, hint)
    except ValueError:
        raise ConfigError(42, f"{owner}: {keyword}={value!r} must be {_words(hint)}") from None
    test, words = _RANGES.get(keyword, _AT_LEAST_0)
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int | float) and not isinstance(number, bool) and not test(number):
            raise ConfigError(43, f"{owner}: {keyword}={value!r} must be {words}")
    return value


def _as(value: Any, hint: Any) -> Any:
    origin = get_origin(hint)
    if origin is Literal:
        if str(value) in get_args(hint):
            return str(value)
    elif origin in (Union, types.UnionType):
        for member in get_args(hint):
            try:
                return _as(value, member)
            except ValueError:
                continue
    elif origin is tuple:
        if isinstance(value, str) and re.fullmatch(r"\(.*\)", value):
            value = [part for part in value[1:-1].split(",") if part.strip()]
        members = get_args(hint)
        if isinstance(value, list | tuple) and members[-1] is Ellipsis:
            return tuple(_as(part, members[0]) for part in value)
        if isinstance(value, list | tuple) and len(value) == len(members):
            return tuple(_as(part, member) for part, member in zip(value, members, strict=True))
    elif hint is bool:
        word = str(value).lower()
        if word in ("true", "false"):
            return word == "true"
    elif isinstance(value, bool):
        pass
    elif hint is int:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError
        return int(value)
    elif hint is float:
        return float(value)
    elif hint is str and isinstance(value, str):
        return value
    raise ValueError


def _words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(_words(member) for member in get_args(hint))
    if origin is tuple and get_args(hint)[-1] is not Ellipsis:
        return f"{len(get_args(hint))} numbers in parentheses, ({', '.join(map(_words, get_args(hint)))})"
    if origin is tuple:
        return "a tuple such as (64,128)" if get_args(hint)[0] is int else f"a tuple, each {_words(get_args(hint)[0])}"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(hint, "a word")
