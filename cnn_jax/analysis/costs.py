"""Rows and totals from what the reader found: names, parameters to their layers, floats, bytes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import jax.numpy as jnp

from cnn_jax.analysis.kinds import COSTED, MATRICES
from cnn_jax.analysis.reader import Reader
from cnn_jax.analysis.table import Row, Totals, field_numbers, floats
from cnn_jax.analysis.trace import Trace
from cnn_jax.analysis.values import Layer
from cnn_jax.errors import GeometryError

_MOMENTUM_COPIES = 3


def rows_of(trace: Trace) -> tuple[Row, ...]:
    """Reads a trace into the rows of its table.

    Raises:
        GeometryError: a layer without output.
    """
    reader = Reader(trace)
    layers = _global_pools(reader.read(), trace)
    for layer in layers:
        _refuse_empty(layer, trace)
    owned = _owners(reader, layers, trace)
    names = _names(layers, trace)
    return tuple(_row(layer, name, owned[id(layer)], trace, reader) for layer, name in zip(layers, names, strict=True))


def totals_of(trace: Trace, rows: Sequence[Row]) -> Totals:
    """Sums over the rows; parameters and statistics over all variables, used or not."""
    sizes = Counter()
    for leaf in trace.leaves:
        sizes[leaf.collection] += math.prod(leaf.shape)
    spatial = [row for row in rows if row.receptive_field is not None]
    return Totals(
        params=sizes["params"],
        weights=sum(row.weights for row in rows),
        batch_stats=sizes["batch_stats"],
        macs=sum(row.macs for row in rows),
        activations=sum(row.activations for row in rows),
        bytes_forward=sum(row.bytes_forward for row in rows),
        bytes_training=sum(row.bytes_training for row in rows),
        receptive_field=spatial[-1].receptive_field if spatial else None,
        jump=spatial[-1].jump if spatial else None,
    )


def _row(layer: Layer, name: str, leaves: dict[int, int], trace: Trace, reader: Reader) -> Row:
    def count(collection: str, *, weights: bool = False) -> int:
        chosen = (i for i in leaves if trace.leaves[i].collection == collection)
        return sum(leaves[i] for i in chosen if not weights or i in reader.weights)

    def size(i: int) -> int:
        return leaves[i] * jnp.dtype(trace.leaves[i].dtype).itemsize

    output = floats(layer.shape)
    params = sum(size(i) for i in leaves if trace.leaves[i].collection == "params")
    others = sum(size(i) for i in leaves) - params
    mean, largest, jump = field_numbers(layer.field)
    return Row(
        name=name,
        type=layer.kind,
        output=tuple(layer.shape[1:]),
        kernel=layer.kernel,
        strides=layer.strides,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        params=count("params"),
        weights=count("params", weights=True),
        batch_stats=count("batch_stats"),
        macs=layer.macs,
        activations=output if layer.kind in COSTED else 0,
        bytes_forward=output * layer.itemsize + params + others,
        bytes_training=2 * output * layer.itemsize + _MOMENTUM_COPIES * params + others,
        receptive_field=mean,
        receptive_field_max=largest,
        jump=jump,
        remainder=layer.remainder,
        field=layer.field,
    )


def _names(layers: Sequence[Layer], trace: Trace) -> list[str]:
    """The module's path for its first or only layer, else the path and the kind; repeated names are numbered."""
    by_call: dict[tuple, list[Layer]] = defaultdict(list)
    for layer in layers:
        by_call[layer.call, layer.turn].append(layer)
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        call = None if layer.call is None else trace.calls[layer.call]
        path = "/".join(call.path) if call else ""
        if layer.turn:
            path += "[" + ",".join(map(str, layer.turn)) + "]"
        mates = by_call[layer.call, layer.turn]
        main = next((mate for mate in mates if mate.kind in MATRICES), mates[0])
        name = path if path and call and call.leaf and layer is main else f"{path}/{layer.kind}".lstrip("/")
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _owners(reader: Reader, layers: Sequence[Layer], trace: Trace) -> dict[int, dict[int, int]]:
    """For each layer, the variables counted in it and how many of their numbers.

    A variable belongs to the module at its path; of several layers there, to the first that reads it. A loop over
    stacked layers shares it out among its turns.
    """
    by_path: dict[tuple[str, ...], list[Layer]] = defaultdict(list)
    for layer in layers:
        if layer.call is not None:
            by_path[trace.calls[layer.call].path].append(layer)
    present = {id(layer) for layer in layers}
    owned: dict[int, dict[int, int]] = defaultdict(dict)
    for i, leaf in enumerate(trace.leaves):
        at_home = by_path[leaf.path[:-1]]
        users = [layer for layer in reader.uses[i] if id(layer) in present]
        reading = [layer for layer in users if any(layer is mate for mate in at_home)]
        candidates = reading or at_home or users
        if not candidates:
            continue
        first = candidates[0]
        turns = {layer.turn: layer for layer in reversed(candidates) if layer.call == first.call}
        size = math.prod(leaf.shape)
        chosen = [*turns.values()] if len(turns) > 1 and leaf.shape and leaf.shape[0] == len(turns) else [first]
        for layer in chosen:
            owned[id(layer)][i] = size // len(chosen)
    return owned


def _global_pools(layers: list[Layer], trace: Trace) -> list[Layer]:
    """A mean over the whole map written as a window is global pooling, and its output has no place."""
    for layer in layers:
        covers = layer.kernel is not None and all(size == 1 for size in layer.shape[1:-1])
        if (
            layer.kind == "avg_pool"
            and covers
            and layer.strides
            and max(layer.strides) == 1
            and max(layer.kernel or ()) > 1
        ):
            layer.kind = "global_avg_pool"
        if layer.kind.startswith("global_"):
            layer.field = ()
    return layers


def _refuse_empty(layer: Layer, trace: Trace) -> None:
    if 0 in layer.shape:
        path = "" if layer.call is None else "/".join(trace.calls[layer.call].path)
        shape = tuple(layer.shape[1:])
        raise GeometryError(
            31, f"{layer.kind} leaves an empty map of shape {shape}: use a smaller window or a larger input", path
        )
