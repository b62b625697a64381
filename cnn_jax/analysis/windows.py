"""Layers with a sliding window, read off their equations: convolution, transposed convolution, pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cnn_jax.analysis.dataflow import windowed
from cnn_jax.analysis.field import Field, over
from cnn_jax.analysis.values import Pairs, Value
from cnn_jax.ops.geometry import remainder

Geometry = dict[str, Any]


def convolution(params: Geometry, image: Value, kernel: Value, shape: Sequence[int]) -> tuple[str, Geometry, Field]:
    """Kind, geometry with MACs, and receptive field of a `conv_general_dilated`.

    A transposed convolution is reported as the adjoint of the convolution with the reported numbers: strides are the
    input's dilation, padding is what the forward convolution would have. Its MACs are input places times kernel
    entries.
    """
    numbers = params["dimension_numbers"]
    dims, out_dims = numbers.lhs_spec[2:], numbers.out_spec[2:]
    kernel_size = tuple(kernel.shape[dim] for dim in numbers.rhs_spec[2:])
    strides, dilation = tuple(params["window_strides"]), tuple(params["rhs_dilation"])
    stretch = tuple(params["lhs_dilation"])
    padding = tuple((int(lo), int(hi)) for lo, hi in params["padding"])
    counts = [shape[dim] for dim in out_dims]
    field = _moved(
        image, dims, out_dims, count=counts, stride=strides, padding=[lo for lo, _ in padding], size=kernel_size,
        dilation=dilation, input_dilation=stretch,
    )  # fmt: skip
    entries = math.prod(kernel.shape)
    geometry: Geometry = {"kernel": kernel_size, "dilation": dilation, "groups": params["feature_group_count"]}
    if any(s > 1 for s in stretch):
        reach = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        forward = tuple((r - lo, r - hi) for r, (lo, hi) in zip(reach, padding, strict=True))
        places = math.prod(image.shape[dim] for dim in dims)
        geometry |= {"strides": stretch, "padding": forward, "remainder": (0,) * len(dims), "macs": places * entries}
        return "conv_transpose", geometry, field
    total = padded(image, dims, padding)
    sizes = [_unpadded(image, dim) for dim in dims]
    left = tuple(map(remainder, sizes, kernel_size, strides, total, dilation))
    places = math.prod(shape[dim] for dim in out_dims)
    geometry |= {"strides": strides, "padding": total, "remainder": left, "macs": places * entries}
    return "conv", geometry, field


def pooling(params: Geometry, image: Value, shape: Sequence[int]) -> tuple[Geometry, Field, list[int]]:
    """Geometry and receptive field of a `reduce_window`, and the dimensions it moves along."""
    window, strides = params["window_dimensions"], params["window_strides"]
    dilation = params.get("window_dilation") or (1,) * len(window)
    stretch = params.get("base_dilation") or (1,) * len(window)
    padding = tuple((int(lo), int(hi)) for lo, hi in params["padding"])
    everywhere = range(len(window))
    field = _moved(
        image, everywhere, everywhere, count=shape, stride=strides, padding=[lo for lo, _ in padding], size=window,
        dilation=dilation, input_dilation=stretch,
    )  # fmt: skip
    dims = [dim for dim in image.spatial_dims if image.shape[dim] > 1 or window[dim] > 1 or len(window) > 2]
    chosen = {"kernel": window, "strides": strides, "dilation": dilation}
    geometry: Geometry = {name: tuple(numbers[dim] for dim in dims) for name, numbers in chosen.items()}
    total = padded(image, dims, tuple(padding[dim] for dim in dims))
    sizes = [_unpadded(image, dim) for dim in dims]
    left = tuple(map(remainder, sizes, geometry["kernel"], geometry["strides"], total, geometry["dilation"]))
    return geometry | {"padding": total, "remainder": left}, field, [dim for dim in everywhere if window[dim] > 1]


def padded(image: Value, dims: Sequence[int], padding: Pairs) -> Pairs:
    """Padding of the window together with padding written before it as an operation of its own."""
    earlier = image.pads or ((0, 0),) * len(image.shape)
    pairs = zip(dims, padding, strict=True)
    return tuple((int(earlier[dim][0] + lo), int(earlier[dim][1] + hi)) for dim, (lo, hi) in pairs)


def _unpadded(image: Value, dim: int) -> int:
    return image.shape[dim] - int(sum(image.pads[dim] if image.pads else (0, 0)))


def _moved(image: Value, dims: Sequence[int], out_dims: Sequence[int], **window: Sequence[int]) -> Field:
    assert image.field is not None
    place = dict(zip(dims, out_dims, strict=True))
    field = windowed(image.field, dims, **window)
    mixed = {dim for axis in field for dim, _ in axis.links} - set(dims)
    for dim in mixed:
        field = over(field, lambda axis, d=dim: axis.without(d, image.shape[d]))
    return over(field, lambda axis: axis.renamed(place.__getitem__))
