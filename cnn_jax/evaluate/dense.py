"""A network at every position of a larger image at once: fully connected layers as convolutions.

Simonyan and Zisserman 2014, section 3.2 (after Sermanet et al. 2013, OverFeat): the first fully connected layer, whose
kernel is [h w c, f] on a map of h x w x c, is a convolution with a kernel [h, w, c, f]; those after it are convolutions
of 1x1. The result is a map of class scores, one for each position of the network on the image, and its mean is the
image's. A network that ends in global pooling is applied as it is: the mean of its scores over the positions is the
score of the mean.

On an image of the network's own size this is the network itself. On a larger one it is the mean over the crops, at
steps of the network's stride, only where convolutions do not pad: at the border of a crop they see zeros, at that of a
position inside the image they see the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as fnn
import jax
import jax.numpy as jnp
from flax import traverse_util

from cnn_jax import nn, ops
from cnn_jax.errors import ConfigError, GeometryError
from cnn_jax.evaluate.answers import Logits
from cnn_jax.tasks import Variables


class Head(NamedTuple):
    """Where a network stops being spatial.

    Attributes:
        path: of its first fully connected layer.
        shape: `(h, w, c)` of the map that this layer sees flattened; None where it sees a pooled vector.
    """

    path: tuple[str, ...]
    shape: tuple[int, int, int] | None


def sizes_fit(model: Any, network: tuple[int, int, int], size: tuple[int, int]) -> bool:
    """Whether the network's parameters, made for images `network` (H, W, C), are also those for images of `size`.

    Raises:
        ConfigError: a layer that has nothing left to see at this size.
    """
    return size == network[:2] or not _differing(model, network, size)


def check_size(model: Any, name: str, network: tuple[int, int, int], size: tuple[int, int]) -> None:
    """Refuses images of a size that the network cannot take as it is.

    Raises:
        ConfigError: naming the layer that is in the way, or that has nothing left to see at this size.
    """
    if not sizes_fit(model, network, size):
        raise ConfigError(
            204,
            f"{name} was trained on {network[1]}x{network[0]} and its layer {_differing(model, network, size)[0]} has "
            f"weights for that size alone, not for {size[1]}x{size[0]}: use crops of {network[1]}x{network[0]}, "
            "--protocol=dense, or a network with head=gap",
        )


def dense_logits(model: Any, name: str, network: tuple[int, int, int], size: tuple[int, int], logits: Logits) -> Logits:
    """`logits` for images of `size`, at least the network's own: the mean of the class score map.

    Args:
        model: the Linen module.
        name: its name, for messages.
        network: `(H, W, C)` that the parameters were made for.
        size: `(height, width)` of the images.
        logits: `(variables, image) -> [N, num_classes]`, which applies `model`.

    Returns:
        `(variables, image uint8 [N, *size, C]) -> float32 [N, num_classes]`.

    Raises:
        ConfigError: a network that is not convolutional before its first fully connected layer, or a smaller image.
    """
    if sizes_fit(model, network, size):
        return logits
    if size[0] < network[0] or size[1] < network[1]:
        raise ConfigError(
            205,
            f"{name} was trained on {network[1]}x{network[0]} and has fully connected layers: it cannot see images of "
            f"{size[1]}x{size[0]}; use --image_size or --scales of at least {min(network[:2])}",
        )
    small, large = head_of(model, network), head_of(model, (*size, network[2]))
    kernel = "/".join((*small.path, "kernel"))
    others = [path for path in _differing(model, network, size) if path != kernel]
    if others or small.shape is None or large.shape is None:
        raise ConfigError(
            206,
            f"{name} cannot be applied densely: {(others or [kernel])[0]} depends on the size of the image and is no "
            "fully connected layer after convolutions; use --protocol=ten_crop",
        )
    window, whole = small.shape, large.shape

    def everywhere(next_function: Callable, args: tuple, keywords: dict, context: Any) -> Any:
        module = context.module
        if context.method_name != "__call__":
            return next_function(*args, **keywords)
        if module.path == small.path:
            return _as_convolution(module, args[0].reshape(-1, *whole), window)
        outputs = next_function(*args, **keywords)
        if module.path == () and isinstance(outputs, tuple):
            # Positions went into the batch behind the first layer, which serves every layer after it.
            scores = outputs[0]
            batch = args[0].shape[0]
            return scores.reshape(batch, -1, scores.shape[-1]).mean(axis=1), outputs[1]
        return outputs

    def applied(variables: Variables, image: jax.Array) -> jax.Array:
        with fnn.intercept_methods(everywhere):
            return logits(variables, image)

    return applied


def head_of(model: Any, image_shape: tuple[int, int, int]) -> Head:
    """The first fully connected layer of a network, and the map that it sees.

    Raises:
        ConfigError: a layer that has nothing left to see at this size.
    """
    maps: list[tuple[int, ...]] = [image_shape]
    found: list[Head] = []

    def watch(next_function: Callable, args: tuple, keywords: dict, context: Any) -> Any:
        module = context.module
        if isinstance(module, nn.Dense) and not found:
            inputs = args[0].shape[-1]
            same = maps[-1] if math.prod(maps[-1]) == inputs else None
            found.append(Head(module.path, same))  # type: ignore[arg-type]
        outputs = next_function(*args, **keywords)
        if getattr(outputs, "ndim", 0) == 4 or isinstance(module, nn.GlobalAvgPool):
            maps.append(outputs.shape[1:])
        return outputs

    with fnn.intercept_methods(watch):
        _abstract_params(model, image_shape)
    if not found:
        return Head((), None)
    path, shape = found[0]
    return Head(path, shape if shape is not None and len(shape) == 3 else None)


def _as_convolution(module: nn.Dense, x: jax.Array, window: tuple[int, int, int]) -> jax.Array:
    """The layer at every position of a map [N, H, W, c]; positions in the batch, [N H' W', features]."""
    kernel = module.get_variable("params", "kernel").astype(x.dtype)
    y = ops.conv(x, kernel.reshape(*window, -1), padding=0)
    y = y.reshape(-1, y.shape[-1])
    if not module.use_bias:
        return y
    return y + module.get_variable("params", "bias").astype(y.dtype)[None]


def _differing(model: Any, network: tuple[int, int, int], size: tuple[int, int]) -> list[str]:
    """Paths of the parameters that have another shape at `size`."""
    ours, theirs = _abstract_params(model, network), _abstract_params(model, (*size, network[2]))
    return [path for path in ours if path not in theirs or ours[path].shape != theirs[path].shape]


def _abstract_params(model: Any, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    key = jax.random.key(0)
    try:
        tree = jax.eval_shape(lambda x: model.init({"params": key, "dropout": key}, x, train=False), image)
    except GeometryError as error:
        size = f"{image_shape[1]}x{image_shape[0]}"
        raise ConfigError(207, f"this network cannot see images of {size}: {error}") from None
    return traverse_util.flatten_dict(tree["params"], sep="/")
