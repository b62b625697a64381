"""The layer table: rows and totals of one model at one input size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cnn_jax.analysis.field import Field
from cnn_jax.errors import ConfigError

Number = int | float


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: the module's path; a function called inside a module adds its own name.
        type: conv, conv_transpose, dense, max_pool, batch_norm, relu, add, concat, ...
        output: shape without the batch, (H, W, C) or (features,).
        kernel: per spatial dimension, of layers with a window. For a transposed convolution this and the next three are
            those of the convolution it is the adjoint of.
        strides: likewise.
        padding: likewise, (lo, hi).
        dilation: likewise.
        groups: of a convolution.
        params: trainable numbers, each counted in the first layer that uses it.
        weights: those in kernels and matrices: neither biases nor parameters of norms.
        batch_stats: running statistics, not trained.
        macs: multiply-accumulates of a conv or dense layer at batch 1; a FLOP count would be twice that.
        activations: floats written by a conv, pool or dense layer.
        bytes_forward: output and parameters of the layer.
        bytes_training: output and its gradient, parameters, their gradients and one momentum each.
        receptive_field: pixels along each axis that a unit sees, borders disregarded; the mean over units where they
            differ, as after a transposed convolution. None off the image.
        receptive_field_max: of the unit that sees most.
        jump: pixels between neighbouring units.
        remainder: rows at the end that no window reaches.
        field: the exact field of every unit.
    """

    name: str
    type: str
    output: tuple[int, ...]
    kernel: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    padding: tuple[tuple[int, int], ...] | None
    dilation: tuple[int, ...] | None
    groups: int | None
    params: int
    weights: int
    batch_stats: int
    macs: int
    activations: int
    bytes_forward: int
    bytes_training: int
    receptive_field: tuple[Number, ...] | None
    receptive_field_max: tuple[int, ...] | None
    jump: tuple[Number, ...] | None
    remainder: tuple[int, ...] | None
    field: Field = dataclasses.field(default=(), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The row as plain JSON data; numbers equal along all axes of the image are given once."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "field"}
        for name in ("receptive_field", "receptive_field_max", "jump"):
            data[name] = once(data[name])
        return {name: _plain(value) for name, value in data.items()}


@dataclass(frozen=True)
class Totals:
    """Sums over a model, and the receptive field of its last spatial feature map; units as in `Row`."""

    params: int
    weights: int
    batch_stats: int
    macs: int
    activations: int
    bytes_forward: int
    bytes_training: int
    receptive_field: tuple[Number, ...] | None
    jump: tuple[Number, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """The totals as plain JSON data."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return data | {name: _plain(once(data[name])) for name in ("receptive_field", "jump")}


@dataclass(frozen=True, repr=False)
class Table:
    """The layers of one model, in order; prints as the papers print it.

    Attributes:
        model: its name.
        input: (H, W, C).
        layers: the rows.
        total: the sums.
    """

    model: str
    input: tuple[int, ...]
    layers: tuple[Row, ...]
    total: Totals

    def __iter__(self) -> Iterator[Row]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, layer: str) -> Row:
        """The row of this name.

        Raises:
            ConfigError: no such layer; the message lists near names.
        """
        for row in self.layers:
            if row.name == layer:
                return row
        import difflib

        near = difflib.get_close_matches(layer, [row.name for row in self.layers], n=3, cutoff=0.3)
        raise ConfigError(90, f"{self.model} has no layer {layer!r}: use one of its names, such as {', '.join(near)}")

    def box(self, layer: str, *unit: int, clip: bool = True) -> tuple[tuple[int, int], ...] | None:
        """The pixels that one unit sees: first and last along each axis of the image.

        Args:
            layer: its name.
            unit: its place, (y, x) for images; none needed for a layer without place.
            clip: the pixels that really reach the unit; otherwise those of its theoretical field, which goes on beyond
                the borders.

        Returns:
            ((top, bottom), (left, right)), both ends included; None for a unit that sees no pixel.

        Raises:
            ConfigError: no such layer or unit.
        """
        row = self[layer]
        places = sorted({dim for axis in row.field for dim, _ in axis.links})
        if len(unit) != len(places) and places:
            raise ConfigError(91, f"layer {layer} has units at {len(places)} coordinates: give as many, not {unit}")
        index = [0] * (len(row.output) + 1)
        for dim, at in zip(places, unit, strict=False):
            size = row.output[dim - 1]
            if not 0 <= at < size:
                raise ConfigError(91, f"layer {layer} has no unit {unit}: use coordinates from 0 to {size - 1}")
            index[dim] = at
        boxes = [axis.bounds(index, real=clip) for axis in row.field]
        return None if any(box is None for box in boxes) else tuple(box for box in boxes if box is not None)

    def to_dict(self) -> dict[str, Any]:
        """The table as plain JSON data."""
        layers = [row.to_dict() for row in self.layers]
        return {"model": self.model, "input": list(self.input), "layers": layers, "total": self.total.to_dict()}

    def to_markdown(self) -> str:
        """The table for a README."""
        from cnn_jax.analysis.render import markdown

        return markdown(self)

    def to_latex(self) -> str:
        """The table for a paper, with booktabs rules."""
        from cnn_jax.analysis.render import latex

        return latex(self)

    def __rich__(self):
        from cnn_jax.analysis.render import rich_table

        return rich_table(self)

    def __str__(self) -> str:
        from cnn_jax.analysis.render import text

        return text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from cnn_jax.analysis.render import html

        return html(self)


def field_numbers(field: Field):
    """Mean and largest receptive field and jump per axis of the image, or Nones for a value without place."""
    if not any(axis.links for axis in field):
        return None, None, None
    sizes = [axis.sizes() for axis in field]
    mean = tuple(_number(Fraction(sum(s), len(s))) if s else 0 for s in sizes)
    return mean, tuple(max(s, default=0) for s in sizes), tuple(_number(abs(axis.jump)) for axis in field)


def once(values: Sequence[Number] | None) -> Number | tuple[Number, ...] | None:
    """The one number that all are, or all of them."""
    if values is None:
        return None
    return values[0] if len(set(values)) == 1 else tuple(values)


def _number(value: Fraction) -> Number:
    return int(value) if value.denominator == 1 else float(value)


def _plain(value):
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def floats(shape: Sequence[int]) -> int:
    """Numbers in an array of one example, [1, ...]."""
    return math.prod(shape[1:])
