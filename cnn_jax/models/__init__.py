"""The one table of names, and `create`. Importing this imports no JAX; a family's file is read when it is needed.

A model is a Linen module called as `model(x, train=False) -> (logits, taps)`: x is [N, H, W, C] float, logits are
[N, num_classes] float32 and taps a dict of named stages. The arithmetic follows the dtype of x; parameters are float32.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import typing
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

from cnn_jax.errors import ConfigError
from cnn_jax.models.keywords import coerce, did_you_mean, split_name

Shape = tuple[tuple[int, int, int], int]  # default input (H, W, C) and number of classes
_IMAGENET: Shape = ((224, 224, 3), 1000)
_ALEXNET: Shape = ((227, 227, 3), 1000)
_MNIST: Shape = ((28, 28, 1), 10)
_SMALL: Shape = ((32, 32, 3), 10)


class Family(NamedTuple):
    """A row of the table.

    Attributes:
        model: module and class, "vgg.VGG".
        year: of the paper.
        paper: its title.
        default: variant of the bare family name.
        variants: variant -> (default input (H, W, C), number of classes).
        pattern: further variants the file makes on demand match this expression, if any.
        others: the same in words.
    """

    model: str
    year: int
    paper: str
    default: str
    variants: Mapping[str, Shape]
    pattern: str = ""
    others: str = ""


class Entry(NamedTuple):
    """One network of the catalogue; `input` is (H, W, C)."""

    name: str
    family: str
    variant: str
    year: int
    paper: str
    input: tuple[int, int, int]
    num_classes: int


_RESNET = "Deep Residual Learning for Image Recognition"
_PREACT = "Identity Mappings in Deep Residual Networks"
_CIFAR_DEPTHS = ("20", "32", "44", "56", "110", "1202")

FAMILIES = {
    "linear": Family(
        "linear.Linear",
        1958,
        "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
        "mnist",
        {"mnist": _MNIST, "small": _SMALL},
    ),
    "mlp": Family(
        "mlp.MLP",
        1986,
        "Learning Representations by Back-propagating Errors",
        "300",
        {"300": _MNIST, "1000": _MNIST, "300-100": _MNIST, "500-150": _MNIST, "small": _SMALL},
        r"[1-9]\d*(-[1-9]\d*)*",
        "units of the hidden layers such as 500-300",
    ),
    "lenet": Family(
        "lenet.LeNet",
        1998,
        "Gradient-Based Learning Applied to Document Recognition",
        "modern",
        {"1989": ((16, 16, 1), 10), "1998": ((32, 32, 1), 10), "modern": ((32, 32, 1), 10), "small": _SMALL},
    ),
    "alexnet": Family(
        "alexnet.AlexNet",
        2012,
        "ImageNet Classification with Deep Convolutional Neural Networks",
        "paper",
        {"paper": _ALEXNET, "slides": _ALEXNET, "torchvision": _IMAGENET, "small": _SMALL},
    ),
    "zfnet": Family(
        "zfnet.ZFNet",
        2013,
        "Visualizing and Understanding Convolutional Networks",
        "paper",
        {"paper": _IMAGENET, "slides": _IMAGENET, "small": _SMALL},
    ),
    "nin": Family(
        "nin.NIN",
        2013,
        "Network In Network",
        "cifar10",
        {"cifar10": _SMALL, "mnist": _MNIST, "imagenet": _IMAGENET},
    ),
    "vgg": Family(
        "vgg.VGG",
        2014,
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        "D",
        dict.fromkeys(("A", "A-LRN", "B", "C", "D", "E", "A-BN", "B-BN", "C-BN", "D-BN", "E-BN"), _IMAGENET)
        | {"small": _SMALL},
    ),
    "googlenet": Family(
        "googlenet.GoogLeNet",
        2014,
        "Going Deeper with Convolutions",
        "paper",
        {"paper": _IMAGENET, "torchvision": _IMAGENET, "small": _SMALL},
    ),
    "resnet": Family(
        "resnet.ResNet",
        2015,
        _RESNET,
        "50",
        dict.fromkeys(("18", "34", "50", "101", "152", "50-v1", "101-v1", "152-v1", "34-A", "34-C"), _IMAGENET)
        | {"small": _SMALL},
    ),
    "plain": Family("resnet.ResNet", 2015, _RESNET, "34", dict.fromkeys(("18", "34"), _IMAGENET)),
    "resnet_cifar": Family(
        "resnet.ResNet", 2015, _RESNET, "20", dict.fromkeys(_CIFAR_DEPTHS, _SMALL), r"\d+", "any depth 6n+2"
    ),
    "plain_cifar": Family(
        "resnet.ResNet", 2015, _RESNET, "20", dict.fromkeys(_CIFAR_DEPTHS[:-1], _SMALL), r"\d+", "any depth 6n+2"
    ),
    "preact_cifar": Family(
        "preact_resnet.PreactResNet",
        2016,
        _PREACT,
        "164",
        dict.fromkeys(("110", "164", "1001"), _SMALL),
        r"\d+",
        "any depth 9n+2 (bottlenecks) or else 6n+2",
    ),
    "xception": Family(
        "xception.Xception",
        2017,
        "Xception: Deep Learning with Depthwise Separable Convolutions",
        "paper",
        {"paper": ((299, 299, 3), 1000), "small": _SMALL},
    ),
    "airbench": Family(
        "airbench.Airbench",
        2024,
        "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
        "94",
        dict.fromkeys(("94", "94-muon", "95", "96"), _SMALL),
    ),
}


def catalogue() -> list[Entry]:
    """Every network of the table, in order of family; names can be given to `create`."""
    return [
        Entry(f"{family}:{variant}", family, variant, row.year, row.paper, shape, classes)
        for family, row in FAMILIES.items()
        for variant, (shape, classes) in row.variants.items()
    ]


def counts() -> dict[str, dict[str, Any]]:
    """Parameters (`params`), multiply-accumulates (`macs`) and `receptive_field` of every network of the catalogue.

    The receptive field is that of the last feature map, in pixels; None where there is no such map. All are those of a
    network at its own input size, read from a file that `scripts/count_models.py` makes with `analysis`: listing them
    traces nothing.
    """
    return json.loads(resources.files("cnn_jax.models").joinpath("counts.json").read_text(encoding="utf-8"))


def create(name: str, **overrides: Any) -> Any:
    """The Linen module called `name`: `family`, `family:variant`, or with keywords `family:variant,width=0.5`.

    Args:
        name: what to create; a bare family is its default variant.
        **overrides: keywords of the model; they win over those in the name.

    Raises:
        ConfigError: unknown family, variant or keyword, or a value that does not suit; legal ones are listed.
    """
    cls, defaults, written, owner = _resolve(name)
    hints = typing.get_type_hints(cls)
    given = written | overrides
    for keyword in given:
        if keyword not in defaults:
            raise ConfigError(46, f"{owner} has no keyword {keyword!r}{did_you_mean(keyword, defaults)}")
    return cls(**(defaults | {keyword: coerce(owner, keyword, given[keyword], hints[keyword]) for keyword in given}))


def keywords(name: str) -> dict[str, Any]:
    """The keywords of the model called `name` and their values where nothing is overridden.

    Raises:
        ConfigError: unknown family or variant.
    """
    return _resolve(name)[1]


def _resolve(name: str) -> tuple[type, dict[str, Any], dict[str, str], str]:
    """Class, keywords of the variant, keywords written in the name, and the name without them."""
    family, variant, written = split_name(name)
    if family not in FAMILIES:
        raise ConfigError(44, f"unknown model family {family!r}{did_you_mean(family, FAMILIES)}")
    row = FAMILIES[family]
    variant = variant or row.default
    if variant not in row.variants and not (row.pattern and re.fullmatch(row.pattern, variant)):
        others = f", {row.others}" if row.others else ""
        raise ConfigError(45, f"unknown variant {variant!r} of {family}{did_you_mean(variant, row.variants)}{others}")
    file, class_name = row.model.split(".")
    module = importlib.import_module(f"cnn_jax.models.{file}")
    cls = getattr(module, class_name)
    known = module.VARIANTS[family]
    fields = {f.name: f.default for f in dataclasses.fields(cls) if f.name not in ("parent", "name")}
    return (
        cls,
        fields | (known[variant] if variant in known else module.variant(family, variant)),
        written,
        (f"{family}:{variant}"),
    )
