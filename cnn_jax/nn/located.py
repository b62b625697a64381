"""Errors of geometry learn where they happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import flax.linen as nn

from cnn_jax.errors import GeometryError


@contextmanager
def located(module: nn.Module) -> Iterator[None]:
    """Adds the path of `module` to a GeometryError raised inside: ops do not know where they stand."""
    try:
        yield
    except GeometryError as error:
        raise error.at("/".join(module.path)) from None
