"""The named stages that a model returns besides its logits: which layer each is the output of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cnn_jax.analysis.costs import rows_of
from cnn_jax.analysis.reader import Reader
from cnn_jax.analysis.table import Number, once
from cnn_jax.analysis.trace import trace


@dataclass(frozen=True)
class Tap:
    """One named stage.

    Attributes:
        name: its key in the model's taps.
        output: shape without the batch, (H, W, C) or (features,).
        layer: name of the layer whose output it is.
        receptive_field: as in `table.Row`; None for a stage without place.
        jump: as in `table.Row`; its stride over the image.
    """

    name: str
    output: tuple[int, ...]
    layer: str
    receptive_field: tuple[Number, ...] | None
    jump: tuple[Number, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """The stage as plain JSON data; numbers equal along all axes of the image are given once."""
        data = {"name": self.name, "output": list(self.output), "layer": self.layer}
        numbers = {"receptive_field": once(self.receptive_field), "jump": once(self.jump)}
        return data | {key: list(value) if isinstance(value, tuple) else value for key, value in numbers.items()}


@dataclass(frozen=True, repr=False)
class Taps:
    """The named stages of one model, in its order; prints as a table.

    Attributes:
        model: its name.
        input: (H, W, C).
        taps: the stages.
    """

    model: str
    input: tuple[int, ...]
    taps: tuple[Tap, ...]

    def __iter__(self) -> Iterator[Tap]:
        return iter(self.taps)

    def __len__(self) -> int:
        return len(self.taps)

    def to_dict(self) -> dict[str, Any]:
        """The stages as plain JSON data."""
        return {"model": self.model, "input": list(self.input), "taps": [tap.to_dict() for tap in self.taps]}

    def __rich__(self):
        from cnn_jax.analysis.render_sources import rich_taps

        return rich_taps(self)

    def __str__(self) -> str:
        from cnn_jax.analysis.render import printed

        return printed(self.__rich__())

    __repr__ = __str__


def taps(model: nn.Module, input_shape: Sequence[int], *, name: str = "", dtype: DTypeLike = jnp.float32) -> Taps:
    """The named stages of a model that returns (logits, taps).

    Args:
        model: as `models.create` makes it.
        input_shape: one image, (H, W, C).
        name: of the model in the table, by default its class's.
        dtype: of the input.

    Raises:
        GeometryError: as in `show`.
    """
    traced = trace(model, input_shape, dtype=dtype)
    reader = Reader(traced)
    layers = reader.read()
    rows = rows_of(traced)
    place = {id(layer): place for place, layer in enumerate(layers)}
    _, stages = jax.tree.unflatten(traced.outputs, reader.outputs)
    found = []
    # A dict of outputs has lost its order: it comes back sorted by name.
    for tap, value in sorted(stages.items(), key=lambda item: place[id(item[1].layer)]):
        row = rows[place[id(value.layer)]]
        found.append(Tap(tap, tuple(value.shape[1:]), row.name, row.receptive_field, row.jump))
    return Taps(name or type(model).__name__, traced.input_shape, tuple(found))


def taps_named(name: str, input_shape: Sequence[int] | None = None) -> Taps:
    """The named stages of a model of the catalogue; arguments and errors as in `show_named`."""
    from cnn_jax import models
    from cnn_jax.analysis.summary import default_input, legal_sizes_named

    model, shape = models.create(name), input_shape or default_input(name)
    with legal_sizes_named(name, shape):
        return taps(model, shape, name=name)
