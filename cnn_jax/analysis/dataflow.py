"""How receptive fields pass through the primitives that only move or mix entries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnn_jax.analysis.field import Field, Shape, collapsed, join, over, reshaped
from cnn_jax.analysis.reach import Reach, blind, in_a_row
from cnn_jax.analysis.span import Bounds
from cnn_jax.analysis.values import Value

Params = dict[str, Any]
Rule = Callable[[Params, Sequence[Value], Shape], Field]


def field_after(primitive: str, params: Params, values: Sequence[Value], shape: Shape) -> Field:
    """Receptive field of an equation's output; what is not known to be local may see everything."""
    rule = _RULES.get(primitive)
    if rule is not None:
        return rule(params, values, shape)
    fields = [_stretched(v.field, v.shape, shape) for v in values if v.field is not None]
    if None in fields:
        return everything(values)
    return join(field for field in fields if field is not None)


def _stretched(field: Field, old: Shape, new: Shape) -> Field | None:
    """The field after dimensions of one entry met larger ones; None if the shapes do not go together."""
    if old and (len(old) != len(new) or any(a not in (1, b) for a, b in zip(old, new, strict=True))):
        return None
    for dim, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            field = over(field, lambda axis, d=dim: axis.without(d, 1))
    return field


def everything(values: Sequence[Value]) -> Field:
    """The field of an output that may depend on every entry of every operand."""
    return join(collapsed(v.field) for v in values if v.field is not None)


def windowed(field: Field, dims: Sequence[int], **window: Sequence[int]) -> Field:
    """The field after a sliding window over several dimensions; one entry per dimension in each argument."""
    for i, dim in enumerate(dims):
        settings = {name: sequence[i] for name, sequence in window.items()}
        field = over(field, lambda axis, d=dim, s=settings: axis.windowed(d, **s))
    return field


def without(field: Field, dims: Sequence[int], shape: Shape) -> Field:
    """The field after reducing over dimensions of a value of this shape; the others are renumbered."""
    for dim in dims:
        field = over(field, lambda axis, d=dim: axis.without(d, shape[d]))
    kept = [dim for dim in range(len(shape)) if dim not in dims]
    return over(field, lambda axis: axis.renamed(kept.index))


def contracted(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    """The field of `dot_general`: contracted dimensions are seen whole, unless by a known matrix such as a resize's."""
    contracting, batch = params["dimension_numbers"]
    fields = []
    for side, value in enumerate(values):
        if value.field is None:
            continue
        field, rank = value.field, len(value.shape)
        free = [d for d in range(rank) if d not in (*contracting[side], *batch[side])]
        offset = len(batch[side]) if side == 0 else len(shape) - len(free)
        place = dict(zip((*batch[side], *free), (*range(len(batch[side])), *range(offset, len(shape))), strict=False))
        spatial = [d for d in contracting[side] if d in value.spatial_dims]
        other = values[1 - side]
        if len(contracting[side]) == 1 and spatial and other.compute is not None and len(other.shape) == 2:
            dim = spatial[0]
            matrix = np.asarray(other.known())
            support = _support(matrix if contracting[1 - side][0] == 0 else matrix.T)
            field = over(field, lambda axis, d=dim, s=support, n=value.shape[dim]: axis.mixed(d, s, n))
            place[dim] = len(shape) - 1 if side == 0 else len(batch[side])
        else:
            for dim in contracting[side]:
                field = over(field, lambda axis, d=dim, n=value.shape[dim]: axis.without(d, n))
        fields.append(over(field, lambda axis, p=place: axis.renamed(p.__getitem__)))
    return join(fields)


def _support(matrix) -> list[Bounds]:
    """First and last non-zero row of each column."""
    support: list[Bounds] = []
    for column in matrix.T:
        rows = np.flatnonzero(column)
        support.append((int(rows[0]), int(rows[-1])) if rows.size else None)
    return support


def _first(values: Sequence[Value]) -> tuple[Field, tuple[int, ...]]:
    value = values[0]
    assert value.field is not None
    return value.field, value.shape


def _reshape(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    field, old = _first(values)
    return reshaped(field, old, shape)


def _transpose(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    order = list(params["permutation"])
    return over(_first(values)[0], lambda axis: axis.renamed(order.index))


def _broadcast(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    field, old = _first(values)
    dims = params["broadcast_dimensions"]
    for dim, size in enumerate(old):
        if size != shape[dims[dim]]:
            field = over(field, lambda axis, d=dim: axis.without(d, 1))
    return over(field, lambda axis: axis.renamed(lambda dim: dims[dim]))


def _squeeze(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    field, old = _first(values)
    return without(field, params["dimensions"], old)


def _expand(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    kept = [dim for dim in range(len(shape)) if dim not in params["dimensions"]]
    return over(_first(values)[0], lambda axis: axis.renamed(lambda dim: kept[dim]))


def _reduce(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    dims = params["axes"] if "axes" in params else params["dimensions"]
    return join(without(v.field, dims, v.shape) for v in values if v.field is not None and v.shape)


def _slice(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    field, old = _first(values)
    starts, strides = params["start_indices"], params["strides"] or (1,) * len(old)
    return windowed(field, range(len(old)), count=shape, stride=strides, padding=[-start for start in starts])


def _pad(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    if values[0].field is None:
        return everything(values)
    field, old = _first(values)
    config = params["padding_config"]
    padding, dilation = [lo for lo, _, _ in config], [inner + 1 for _, _, inner in config]
    return windowed(field, range(len(old)), count=shape, padding=padding, input_dilation=dilation)


def _reverse(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    field, old = _first(values)
    dims = params["dimensions"]
    counts = [old[dim] for dim in dims]
    return windowed(field, dims, count=counts, stride=[-1] * len(dims), padding=[1 - n for n in counts])


def _concatenate(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    """Joined along channels, all sources count; along the image, the largest gives the rule and each its pixels."""
    dim = params["dimension"]
    values = [v for v in values if 0 not in v.shape]
    data = [v for v in values if v.field is not None]
    if not any(dim in v.spatial_dims for v in data):
        return join(v.field for v in data if v.field is not None)
    main = max(data, key=lambda v: v.shape[dim])
    before = sum(v.shape[dim] for v in values[: values.index(main)])
    assert main.field is not None
    pieces = [_along(v, dim, axis) for v in values for axis in range(len(main.field))]
    moved = over(main.field, lambda axis: axis.windowed(dim, shape[dim], padding=before))
    rank = len(main.field)
    return tuple(
        dataclasses.replace(axis, reach=in_a_row(pieces[i::rank])) if axis.links == ((dim, 1),) else axis
        for i, axis in enumerate(moved)
    )


def _along(value: Value, dim: int, axis: int) -> Reach:
    """What the entries of a value along a dimension see on one axis of the image."""
    size = value.shape[dim]
    if value.field is None:
        return blind(size)
    reach = value.field[axis].reach
    return reach if reach.lo.size == size else Reach(reach.lo.min().repeat(size), reach.hi.max().repeat(size))


def _cumulative(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    field, old = _first(values)
    return over(field, lambda axis: axis.without(params["axis"], old[params["axis"]]))


def _split(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    return _cut(_first(values), shape)


def _cut(source: tuple[Field, tuple[int, ...]], shape: Shape) -> Field:
    """A piece at a place that is not looked up: along the dimensions it is cut in, all of the source may be seen."""
    field, old = source
    for dim, size in enumerate(old):
        if shape[dim] != size:
            field = over(field, lambda axis, d=dim, n=size: axis.without(d, n))
    return field


def _dynamic_slice(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    return _cut(_first(values), shape) if values[0].field is not None else everything(values)


def _gather(params: Params, values: Sequence[Value], shape: Shape) -> Field:
    """Rows taken at known places along one dimension, as nearest resizing does; anything else sees everything."""
    operand, indices = values[0], values[1]
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    dims = numbers.start_index_map
    simple = operand.field is not None and len(dims) == 1 and numbers.collapsed_slice_dims == dims
    simple = simple and all(sizes[d] == n for d, n in enumerate(operand.shape) if d not in dims)
    walking = [d for d in range(len(shape)) if d not in numbers.offset_dims]
    if not simple or len(walking) != 1 or indices.compute is None or getattr(numbers, "operand_batching_dims", ()):
        return everything(values)
    dim = dims[0]
    places = np.asarray(indices.known()).reshape(-1)
    support: list[Bounds] = [(int(p), int(p)) for p in np.clip(places, 0, operand.shape[dim] - 1)]
    kept = [d for d in range(len(operand.shape)) if d != dim]
    place = {**dict(zip(kept, numbers.offset_dims, strict=True)), dim: walking[0]}
    assert operand.field is not None
    mixed = over(operand.field, lambda axis: axis.mixed(dim, support, operand.shape[dim]))
    return over(mixed, lambda axis: axis.renamed(place.__getitem__))


_RULES: dict[str, Rule] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "squeeze": _squeeze,
    "expand_dims": _expand,
    "slice": _slice,
    "pad": _pad,
    "rev": _reverse,
    "concatenate": _concatenate,
    "gather": _gather,
    "split": _split,
    "dynamic_slice": _dynamic_slice,
    "dot_general": contracted,
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _cumulative),
    **dict.fromkeys(
        (
            "reduce_sum",
            "reduce_max",
            "reduce_min",
            "reduce_prod",
            "reduce_and",
            "reduce_or",
            "argmax",
            "argmin",
            "reduce",
        ),
        _reduce,
    ),
}
