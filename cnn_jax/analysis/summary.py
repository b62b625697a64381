"""The layer table of a model, from the model alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from cnn_jax import models
from cnn_jax.analysis.costs import rows_of, totals_of
from cnn_jax.analysis.strict import refuse_remainders
from cnn_jax.analysis.table import Table
from cnn_jax.analysis.trace import trace
from cnn_jax.errors import GeometryError
from cnn_jax.models.keywords import split_name


def show(
    model: nn.Module,
    input_shape: Sequence[int],
    *,
    name: str = "",
    dtype: DTypeLike = jnp.float32,
    strict: bool = False,
    **kwargs: Any,
) -> Table:
    """The layer table of any Linen model, traced on shapes alone.

    Args:
        model: maps a batch of images to its outputs.
        input_shape: one image, (H, W, C); other ranks likewise, channels last.
        name: of the model in the table, by default its class's.
        dtype: of the input.
        strict: refuse a layer that leaves a remainder; else the floor is taken and the remainder shown.
        kwargs: passed to the model; evaluation mode is chosen where it has one, unless `train=True` says otherwise.

    Raises:
        GeometryError: a layer that has no output at this input size, or under `strict` a fractional one, by its path.
    """
    traced = trace(model, input_shape, dtype=dtype, **kwargs)
    rows = rows_of(traced)
    table = Table(name or type(model).__name__, traced.input_shape, rows, totals_of(traced, rows))
    if strict:
        refuse_remainders(table)
    return table


def show_named(name: str, input_shape: Sequence[int] | None = None, **kwargs: Any) -> Table:
    """The layer table of a model of the catalogue.

    Args:
        name: as in `models.create`, such as "vgg:A,width=0.25".
        input_shape: (H, W, C); by default what its paper uses.
        kwargs: as in `show`.

    Raises:
        ConfigError: unknown name or keyword.
        GeometryError: as in `show`.
    """
    model, shape = models.create(name), input_shape or default_input(name)
    with legal_sizes_named(name, shape):
        return show(model, shape, name=name, **kwargs)


@contextmanager
def legal_sizes_named(name: str, input_shape: Sequence[int]) -> Iterator[None]:
    """Adds to an error of geometry at another than the paper's input size what that is.

    Args:
        name: of the model, as in `models.create`.
        input_shape: (H, W, C) as given.

    Raises:
        GeometryError: the input has no three sizes; or as raised inside, with more to say.
    """
    usual = default_input(name)
    sizes = ",".join(map(str, usual))
    if len(input_shape) != len(usual):
        raise GeometryError(33, f"{name} takes images H,W,C, such as its paper's {sizes}, not {tuple(input_shape)}")
    try:
        yield
    except GeometryError as error:
        if tuple(input_shape) == usual:
            raise
        raise GeometryError(error.number, f"{error.message} (its paper's is {sizes})", error.layer) from None


def default_input(name: str) -> tuple[int, ...]:
    """The input size (H, W, C) of a model of the catalogue; a variant made on demand has its family's.

    Raises:
        ConfigError: unknown family.
    """
    family, variant, _ = split_name(name)
    entries = [entry for entry in models.catalogue() if entry.family == family]
    if not entries:
        models.keywords(name)  # raises, with the legal names
    default = models.FAMILIES[family].default
    chosen = [e for wanted in (variant or default, default) for e in entries if e.variant == wanted]
    return (chosen or entries)[0].input


def totals(model: nn.Module, input_shape: Sequence[int], **kwargs: Any) -> dict[str, Any]:
    """The totals of `show`: params, weights, batch_stats, macs, activations, bytes, receptive_field and jump."""
    return show(model, input_shape, **kwargs).total.to_dict()
