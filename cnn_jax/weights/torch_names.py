"""PyTorch's tensors: OIHW kernels, [out, in] matrices, and the modules of torchvision and timm by their rules.

Names as in torchvision 0.28 (`torchvision/models/{alexnet,vgg,googlenet,resnet}.py`) and timm 1.0
(`timm/models/{resnet,vgg,xception}.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnn_jax.models.vgg import stages
from cnn_jax.weights import layout
from cnn_jax.weights.layout import Shape
from cnn_jax.weights.naming import PLUS_MINUS_ONE, Family, Path, Place, Rule, Source

_LEAVES = {"kernel": "weight", "bias": "bias", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_COUNTER = "num_batches_tracked"


def _place(name: str, path: Path, shape: Shape, channels: int) -> Place:
    if len(shape) == 4:
        how = layout.permuted(shape, (3, 2, 0, 1))
    elif len(shape) == 2:
        how = layout.after_flatten(shape, channels) if channels else layout.permuted(shape, (1, 0))
    else:
        how = layout.same(shape)
    return Place(f"{name}.{_LEAVES[path[-1]]}", how)


def _timm_place(name: str, path: Path, shape: Shape, channels: int) -> Place:
    place = _place(name, path, shape, channels)
    if name.startswith("pre_logits") and len(shape) == 2:  # VGG's hidden layers are convolutions there
        return place._replace(layout=layout.as_convolution(shape, channels or shape[0]))
    return place


def _counters(places: Mapping[Path, Place]) -> dict[str, np.ndarray]:
    """Torch counts the batches that a norm has seen, which momentum 0.1 makes no use of."""
    variances = [place.name for path, place in places.items() if path[-1] == "var"]
    return {name.removesuffix(_LEAVES["var"]) + _COUNTER: np.zeros((), np.int64) for name in variances}


# --- AlexNet: a Sequential of convolution and ReLU, with a pool behind conv1 and conv2.


def _alexnet_conv(match: re.Match[str], model: Any) -> str:
    before = int(match[1]) - 1
    return f"features.{2 * before + min(before, 2)}"


def _alexnet_dense(match: re.Match[str], model: Any) -> str:
    hidden = int(match[1]) - 6  # Dropout, Linear, ReLU for each of them, then Linear
    return f"classifier.{3 * hidden + (hidden < len(model.head_features))}"


_ALEXNET = Family(
    like=lambda model: "alexnet:torchvision",
    rules=((r"conv(\d+)", _alexnet_conv), (r"fc(\d+)", _alexnet_dense)),
    flattened=((r"fc6", lambda match, model: f"conv{len(model.features)}"),),
)

# --- VGG: a Sequential of convolution, norm, ReLU, with a pool behind every stage.


def _vgg_sizes(model: Any) -> tuple[int, ...]:
    return stages(model.depth, len(model.features)) if model.depth else model.stage_sizes


def _vgg_conv(match: re.Match[str], model: Any) -> str:
    stage, index, norm = int(match[1]), int(match[2]), match[3] is not None
    before = sum(_vgg_sizes(model)[: stage - 1]) + index - 1
    layers = 3 if model.norm == "batch" else 2
    return f"features.{before * layers + stage - 1 + norm}"


def _vgg_dense(match: re.Match[str], model: Any) -> str:
    return f"classifier.{3 * (int(match[1]) - 6)}"  # Linear, ReLU, Dropout for each hidden layer


def _vgg(*dense: Rule) -> Family:
    return Family(
        like=lambda model: "vgg:D-BN" if model.norm == "batch" else "vgg:D",
        rules=((r"conv(\d+)_(\d+)(_bn)?", _vgg_conv), *dense),
        flattened=((r"fc6", lambda match, model: f"conv{len(model.features)}_{_vgg_sizes(model)[-1]}"),),
    )


# --- GoogLeNet: convolution and norm make a BasicConv2d; branches 2 to 4 are Sequentials.

_STEM = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}
_BRANCHES = {
    "1x1": "branch1",
    "reduce_3x3": "branch2.0",
    "3x3": "branch2.1",
    "reduce_5x5": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}
_AUX = {"4a": "aux1", "4d": "aux2"}


def _part(match: re.Match[str]) -> str:
    return "bn" if match["bn"] else "conv"


_GOOGLENET = Family(
    like=lambda model: "googlenet:torchvision",
    rules=(
        (r"(conv1|conv2|conv2_reduce)(?P<bn>_bn)?", lambda m, model: f"{_STEM[m[1]]}.{_part(m)}"),
        (r"inception_(\w+)/(\w+?)(?P<bn>_bn)?", lambda m, model: f"inception{m[1]}.{_BRANCHES[m[2]]}.{_part(m)}"),
        (r"aux_(\w+)/conv(?P<bn>_bn)?", lambda m, model: f"{_AUX[m[1]]}.conv.{_part(m)}"),
        (r"aux_(\w+)/fc", lambda m, model: f"{_AUX[m[1]]}.fc1"),
        (r"aux_(\w+)/classifier", lambda m, model: f"{_AUX[m[1]]}.fc2"),
        (r"fc", "fc"),
    ),
    flattened=((r"(aux_\w+)/fc", r"\1/conv"),),
    optional=r"aux[12]\..*",
    preprocessing=PLUS_MINUS_ONE,  # `transform_input` brings torchvision's own normalisation to this
)

# --- ResNet: stages count from 1 there and from conv2_x here, blocks from 0 and from 1.


def _in_block(template: str):
    return lambda m, model: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}." + m.expand(template)


_RESNET = Family(
    like=lambda model: "resnet:50",
    rules=(
        (r"conv1", "conv1"),
        (r"conv1_bn", "bn1"),
        (r"conv(\d+)_(\d+)/conv(\d+)", _in_block(r"conv\3")),
        (r"conv(\d+)_(\d+)/conv(\d+)_bn", _in_block(r"bn\3")),
        (r"conv(\d+)_(\d+)/shortcut", _in_block("downsample.0")),
        (r"conv(\d+)_(\d+)/shortcut_bn", _in_block("downsample.1")),
        (r"fc", "fc"),
    ),
)

# --- Xception: blocks count from 2 here and from 1 there, where the two stem and the two last convolutions stand apart.


def _last_block(model: Any) -> int:
    return len(model.entry_features) + model.middle_blocks + 3


def _separable(match: re.Match[str], model: Any) -> str:
    block, index, part = int(match[1]), int(match[2]), match[3]
    stem = len(model.stem_features)
    if block == _last_block(model):
        convolution, norm = f"conv{stem + index}", f"bn{stem + index}"
    else:
        # ReLU, separable convolution, norm for each; the first block begins without the ReLU.
        at = 3 * (index - 1) + (block > 2)
        convolution, norm = f"block{block - 1}.rep.{at}", f"block{block - 1}.rep.{at + 1}"
    return norm if part == "_bn" else f"{convolution}.{'conv1' if part == '/depthwise' else 'pointwise'}"


_XCEPTION = Family(
    like=lambda model: "xception,pool_padding=1,epsilon=1e-5",
    rules=(
        (r"block1_conv(\d)", r"conv\1"),
        (r"block1_conv(\d)_bn", r"bn\1"),
        (r"block(\d+)_sepconv(\d)(/depthwise|/pointwise|_bn)", _separable),
        (r"block(\d+)_shortcut(_bn)?", lambda m, model: f"block{int(m[1]) - 1}.skip{'bn' if m[2] else ''}"),
        (r"predictions", "fc"),
    ),
    preprocessing=PLUS_MINUS_ONE,
)

TORCHVISION = Source(
    {"AlexNet": _ALEXNET, "VGG": _vgg((r"fc(\d+)", _vgg_dense)), "GoogLeNet": _GOOGLENET, "ResNet": _RESNET},
    _place,
    extras=_counters,
)
TIMM = Source(
    {
        "ResNet": _RESNET,
        "VGG": _vgg((r"fc6", "pre_logits.fc1"), (r"fc7", "pre_logits.fc2"), (r"fc8", "head.fc")),
        "Xception": _XCEPTION,
    },
    _timm_place,
    extras=_counters,
)
