"""The entries of `config.augment`: names, parameters, what is legal. No JAX: `train/augment.py` has the functions.

An entry is `name`, `name:VALUE` (its first parameter) or `name:VALUE,key=VALUE`, such as `pad_crop:4,mode=reflect`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnn_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, whole if `whole`."""

    default: float
    low: float
    high: float
    whole: bool = False

    @property
    def says(self) -> str:
        """What is legal, in words."""
        return f"{'whole ' if self.whole else ''}{self.low:g} to {self.high:g}"

    def read(self, text: str) -> float:
        """The value that `text` stands for; ValueError if it is not legal."""
        value = int(text) if self.whole else float(text)
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise ValueError(text)
        return value


@dataclasses.dataclass(frozen=True)
class Word:
    """One of some words."""

    default: str
    words: tuple[str, ...]

    @property
    def says(self) -> str:
        """What is legal, in words."""
        return " or ".join(self.words)

    def read(self, text: str) -> str:
        """The word; ValueError if it is not legal."""
        if text not in self.words:
            raise ValueError(text)
        return text


class Entry(NamedTuple):
    """One entry, read: its text, the augmentation's name and the value of every parameter."""

    text: str
    name: str
    parameters: dict[str, Any]


_OUTSIDE = Word("zeros", ("zeros", "edge"))
_PROBABILITY = Number(1.0, 0, 1)

AUGMENTATIONS: dict[str, dict[str, Number | Word]] = {
    "flip": {"probability": Number(0.5, 0, 1)},
    "alternating_flip": {},
    "pad_crop": {"pad": Number(4, 0, 512, whole=True), "mode": Word("zeros", ("zeros", "reflect"))},
    "resized_crop": {"area": Number(0.08, 0.001, 1), "aspect": Number(4 / 3, 1, 10)},
    "rotation": {"degrees": Number(15, 0, 180), "outside": _OUTSIDE},
    "scale": {"factor": Number(1.25, 1, 10), "outside": _OUTSIDE},
    "translation": {"share": Number(0.1, 0, 1), "outside": _OUTSIDE},
    "elastic": {"alpha": Number(34, 0, 10000), "sigma": Number(4, 0.5, 100), "outside": _OUTSIDE},
    "brightness": {"delta": Number(0.2, 0, 1)},
    "contrast": {"delta": Number(0.2, 0, 1)},
    "saturation": {"delta": Number(0.2, 0, 1)},
    "hue": {"delta": Number(0.05, 0, 0.5)},
    "pca_colour": {"sigma": Number(0.1, 0, 100)},
    "cutout": {"size": Number(8, 1, 4096, whole=True)},
    "mixup": {"alpha": Number(0.2, 0.01, 100), "probability": _PROBABILITY},
    "cutmix": {"alpha": Number(1.0, 0.01, 100), "probability": _PROBABILITY},
}
"""Every augmentation and its parameters, the first of which needs no name."""
MIXING = ("mixup", "cutmix")
"""Those that act on pairs of examples and change their labels."""


def read_augmentations(entries: Sequence[Any]) -> tuple[Entry, ...]:
    """Reads `config.augment`.

    Raises:
        ConfigError: for an unknown name, parameter or value; it lists what is legal.
    """
    return tuple(_read(entry) for entry in entries)


def legend() -> str:
    """Every augmentation with its parameters, on one line: `pad_crop:PAD (whole 0 to 512), mode= (...)`."""
    return "; ".join(describe(name) for name in AUGMENTATIONS)


def describe(name: str) -> str:
    """One augmentation with its parameters, what is legal and the defaults."""
    parameters = AUGMENTATIONS[name]
    if not parameters:
        return name
    words = [f"{key}={_short(p.default)} ({p.says})" for key, p in parameters.items()]
    return f"{name}: {', '.join(words)}"


def _read(text: Any) -> Entry:
    if not isinstance(text, str):
        raise ConfigError(8, f"config.augment has {text!r}: an entry is a string, such as 'pad_crop:4,mode=reflect'")
    name, colon, rest = text.partition(":")
    if name not in AUGMENTATIONS:
        raise ConfigError(8, f"config.augment has {text!r}, which is unknown; legal are {legend()}")
    legal = AUGMENTATIONS[name]
    values: dict[str, Any] = {key: parameter.default for key, parameter in legal.items()}
    given: set[str] = set()
    for place, part in enumerate(rest.split(",") if colon else []):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = (next(iter(legal), ""), part) if place == 0 else ("", part)
        if key not in legal or key in given:
            raise ConfigError(8, f"config.augment has {text!r}: {_wrong(part, name)}")
        given.add(key)
        try:
            values[key] = legal[key].read(value)
        except ValueError:
            raise ConfigError(8, f"config.augment has {text!r}: {_wrong(part, name)}") from None
    return Entry(text, name, values)


def _wrong(part: str, name: str) -> str:
    if not AUGMENTATIONS[name]:
        return f"{name} takes no parameters"
    return f"{part!r} is not legal; legal are {describe(name)}"


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
