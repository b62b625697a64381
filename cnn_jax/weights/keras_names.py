"""Keras's weights: names of layers as in `keras.applications` (Xception; ResNet-50, -101 and -152).

Kernels are HWIO there as here. Its ResNets have biases under batch norm, which we have not: they are folded into the
running means, which computes the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from cnn_jax.weights import layout
from cnn_jax.weights.layout import Shape
from cnn_jax.weights.naming import PLUS_MINUS_ONE, Family, Path, Place, Preprocessing, Source

_LEAVES = {
    "kernel": "kernel",
    "bias": "bias",
    "scale": "gamma",
    "norm_bias": "beta",
    "mean": "moving_mean",
    "var": "moving_variance",
}
# Layers that its author did not name are numbered as they are made, on from whatever the process has made before.
_UNNAMED = re.compile(r"(conv(?:olution)?2d|batch_?normalization)(?:_(\d+))?")
_CAFFE = Preprocessing(
    (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255), reversed_channels=True
)


def _place(name: str, path: Path, shape: Shape, channels: int) -> Place:
    layer, leaf = path[-2], path[-1]
    if layer == "depthwise":
        return Place(f"{name}/depthwise_kernel", layout.permuted(shape, (0, 1, 3, 2)))
    if layer == "pointwise":
        return Place(f"{name}/pointwise_kernel", layout.same(shape))
    if layer.endswith("_bn") and leaf == "bias":
        leaf = "norm_bias"
    # In ResNets "..._1_bn" follows "..._1_conv"; Xception's convolutions have no biases.
    resnet = re.fullmatch(r"(conv1|conv\d+_block\d+_\d)_bn", name)
    bias = f"{resnet[1]}_conv/bias" if resnet and leaf == "mean" else ""
    return Place(f"{name}/{_LEAVES[leaf]}", layout.same(shape), bias)


def _canonical(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """`layer/weight`, unnamed layers numbered from the first.

    Older files say `layer/layer/weight:0`.
    """
    names = {name: tuple(name.removesuffix(":0").split("/")[-2:]) for name in tensors}
    numbers = defaultdict(set)
    for layer, *_ in names.values():
        if match := _UNNAMED.fullmatch(layer):
            numbers[_kind(match)].add(int(match[2] or 0))

    def renamed(layer: str) -> str:
        match = _UNNAMED.fullmatch(layer)
        if not match:
            return layer
        return _numbered(_kind(match), sorted(numbers[_kind(match)]).index(int(match[2] or 0)))

    return {"/".join((renamed(names[name][0]), *names[name][1:])): tensor for name, tensor in tensors.items()}


def _kind(match: re.Match[str]) -> str:
    return "conv2d" if match[1].startswith("conv") else "batch_normalization"


def _numbered(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _shortcut(match: re.Match[str], model: Any) -> str:
    entries = len(model.entry_features)  # one shortcut each, from block 2; then that of the exit block
    number = min(int(match[1]) - 2, entries)
    return _numbered("batch_normalization" if match[2] else "conv2d", number)


_XCEPTION = Family(
    like=lambda model: "xception",
    rules=(
        (r"(block1_conv\d(_bn)?)", r"\1"),
        (r"(block\d+_sepconv\d)/(depthwise|pointwise)", r"\1"),
        (r"(block\d+_sepconv\d_bn)", r"\1"),
        (r"block(\d+)_shortcut(_bn)?", _shortcut),
        (r"predictions", "predictions"),
    ),
    preprocessing=PLUS_MINUS_ONE,
)


def _in_block(match: re.Match[str], model: Any) -> str:
    number = "0" if match[3] == "shortcut" else match[3].removeprefix("conv")
    return f"conv{match[1]}_block{match[2]}_{number}_{'bn' if match[4] else 'conv'}"


_RESNET = Family(
    like=lambda model: "resnet:50-v1",
    rules=(
        (r"conv1(_bn)?", lambda m, model: "conv1_bn" if m[1] else "conv1_conv"),
        (r"conv(\d+)_(\d+)/(conv\d|shortcut)(_bn)?", _in_block),
        (r"fc", "predictions"),
    ),
    preprocessing=_CAFFE,
)

KERAS = Source({"Xception": _XCEPTION, "ResNet": _RESNET}, _place, _canonical)
