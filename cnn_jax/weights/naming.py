"""What a source is: rules that turn our layers' paths into its names, and what it expects of a network."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cnn_jax import models
from cnn_jax.errors import ConfigError
from cnn_jax.weights.layout import Layout, Shape

Path = tuple[str, ...]
"""A leaf of the variables: ("params", "conv2_1", "conv1", "kernel")."""
Shapes = Mapping[Path, Shape]
Rule = tuple[str, str | Callable[[re.Match[str], Any], str]]
"""A pattern of our layers' paths, and the source's name: a template, or a function of the match and the model."""

# Keywords that change no function a source could compute differently, or change shapes, which are compared anyway.
_FREE = {
    *("parent", "name", "num_classes", "width", "features", "head_features", "stem_features", "entry_features"),
    *("exit_features", "middle_blocks", "stage_sizes", "depth", "bottleneck", "last_1x1", "dropout", "initializer"),
    *("unit_biases", "aux_heads"),
}


class Place(NamedTuple):
    """Where an array of ours lies in a source.

    Attributes:
        name: of the tensor.
        layout: of the tensor.
        less: a tensor that the source subtracts from ours, if any: a convolution's bias from the running mean of the
            batch norm behind it, where we have no bias.
    """

    name: str
    layout: Layout
    less: str = ""


class Preprocessing(NamedTuple):
    """What the images were that a source's published weights were trained on.

    Attributes:
        mean: per channel, in 0..1, RGB.
        std: likewise.
        reversed_channels: whether the network was given BGR.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    reversed_channels: bool = False


IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLUS_MINUS_ONE = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Family(NamedTuple):
    """What a source knows of one of our model classes.

    Attributes:
        like: the name of our network that computes what the source's does, for a model; what its keywords must be.
        rules: our layers' paths to its names; the first that matches whole.
        flattened: patterns of dense layers behind a flattening, and the path of the convolution before it.
        optional: what names of tensors may be left over: parts that the source drops, too, when it predicts.
        preprocessing: of its published weights.
    """

    like: Callable[[Any], str]
    rules: tuple[Rule, ...]
    flattened: tuple[Rule, ...] = ()
    optional: str = r"(?!)"
    preprocessing: Preprocessing = IMAGENET


class Source(NamedTuple):
    """A library whose weights are read and written.

    Attributes:
        families: by the name of our model class.
        place: `(name of the layer, path, shape, channels) -> Place`; `channels` are those of the map that a dense layer
            behind a flattening sees, and 0 for every other.
        canonical: the tensors under the names that `place` writes.
        extras: tensors that the source has besides, and we have no use for: ignored on the way in, written on the way
            out.
    """

    families: Mapping[str, Family]
    place: Callable[[str, Path, Shape, int], Place]
    canonical: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    extras: Callable[[Mapping[Path, Place]], dict[str, np.ndarray]] = lambda places: {}


def family_of(source: Source, called: str, model: Any) -> Family:
    """What the source called `called` knows of the class of `model`.

    Raises:
        ConfigError: it has no such network, or one that computes something else; the keywords are named.
    """
    family = source.families.get(type(model).__name__)
    if family is None:
        legal = ", ".join(sorted(source.families))
        raise ConfigError(271, f"{called} has no {type(model).__name__}: it has {legal}")
    like = models.create(family.like(model))
    fields = [field.name for field in dataclasses.fields(model) if field.name not in _FREE]
    wrong = [
        f"{name} is {getattr(model, name)!r} here and {getattr(like, name)!r} there"
        for name in fields
        if getattr(model, name) != getattr(like, name)
    ]
    if wrong:
        raise ConfigError(272, f"{called}'s network is our {family.like(model)}: {'; '.join(wrong)}")
    return family


def places(source: Source, called: str, model: Any, shapes: Shapes) -> dict[Path, Place]:
    """Where every leaf of the variables of `model` lies in the source.

    Raises:
        ConfigError: as `family_of`, or a layer that no rule knows.
    """
    family = family_of(source, called, model)
    found = {}
    for path, shape in shapes.items():
        layer = "/".join(path[1:-1])
        name = _apply(family.rules, layer, model)
        if name is None:
            raise ConfigError(273, f"{called} has nothing like the layer {layer} of this {type(model).__name__}")
        before = _apply(family.flattened, layer, model)
        channels = shapes["params", *before.split("/"), "kernel"][-1] if before else 0
        found[path] = source.place(name, path, shape, channels)
    return found


def _apply(rules: tuple[Rule, ...], layer: str, model: Any) -> str | None:
    for pattern, name in rules:
        if match := re.fullmatch(pattern, layer):
            return match.expand(name) if isinstance(name, str) else name(match, model)
    return None
