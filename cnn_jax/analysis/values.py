"""What the reader knows of a value in the jaxpr, and of a layer it has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from cnn_jax.analysis.field import Field

Pairs = tuple[tuple[int, int], ...]


@dataclass(eq=False)
class Layer:
    """One row to be: an operation worth naming, with its place in the model.

    Attributes:
        kind: conv, dense, max_pool, batch_norm, relu, add, ...
        call: number of the module call it stands in.
        turn: iteration of a loop over layers, or None.
        shape: of the output, with the batch dimension.
        itemsize: bytes per entry of the output.
        field: receptive field of the output.
        kernel, strides, padding, dilation, groups, remainder: of a window; per spatial dimension.
        macs: multiply-accumulates of a conv or dense layer at batch 1.
        number: its place among the layers found.
        after: the layer whose output it was applied to, if any.
        dropped: whether it turned out no layer of its own.
        leaves: variables that the operation itself reads.
    """

    kind: str
    call: int | None
    turn: tuple[int, ...]
    shape: tuple[int, ...]
    itemsize: int
    field: Field
    kernel: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    padding: Pairs | None = None
    dilation: tuple[int, ...] | None = None
    groups: int | None = None
    remainder: tuple[int, ...] | None = None
    macs: int = 0
    number: int = 0
    after: Layer | None = dataclasses.field(default=None, repr=False)
    dropped: bool = False
    leaves: set[int] = dataclasses.field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Value:
    """One value of the jaxpr.

    Attributes:
        shape: with the batch dimension.
        field: its receptive field, or None if it does not depend on the image.
        layer: the layer that wrote it last.
        leaves: variables it is computed from, other than through the image.
        scalar: the number every entry holds, where known.
        pads: padding added since the last layer, per dimension.
        tentative: layers found on the way to it that may turn out parts of a normalisation.
        negated: whether it is minus the output of something, as in min pooling.
        compute: computes it, where it depends on no variable; takes a memo of what was computed on the way.
    """

    shape: tuple[int, ...]
    field: Field | None = None
    layer: Layer | None = None
    leaves: frozenset[int] = frozenset()
    scalar: float | None = None
    pads: Pairs | None = None
    tentative: frozenset[Layer] = frozenset()
    negated: bool = False
    compute: Callable[[dict], Any] | None = None

    @property
    def is_data(self) -> bool:
        """Whether it depends on the image."""
        return self.field is not None

    @property
    def spatial_dims(self) -> tuple[int, ...]:
        """Dimensions that walk over the image, in their order."""
        return tuple(sorted({dim for axis in self.field or () for dim, _ in axis.links}))

    def known(self) -> np.ndarray | None:
        """The value itself, where it depends on no variable and no image."""
        return None if self.compute is None else np.asarray(jax.jit(partial(self.compute, {}))())


def constant(array) -> Value:
    """A value written in the jaxpr."""
    shape = tuple(np.shape(array))
    scalar = float(array) if shape == () and np.issubdtype(np.asarray(array).dtype, np.number) else None
    return Value(shape, scalar=scalar, compute=lambda memo: array)
