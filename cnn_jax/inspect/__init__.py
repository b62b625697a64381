"""Looking inside: `METHODS` is the one table of what `cnn-jax inspect` can show. Each method is one file here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image


class Request(NamedTuple):
    """What is to be shown.

    Attributes:
        config: the resolved config.
        workdir: of the run, where one was named.
        examples: how many images.
    """

    config: Any
    workdir: str | None
    examples: int


class Inspection(NamedTuple):
    """What a method gives.

    Attributes:
        picture: to be looked at.
        facts: what is known about it, as JSON.
        lines: the same for people.
    """

    picture: Image
    facts: dict[str, Any]
    lines: list[str]


class Method(NamedTuple):
    """One way of looking: its summary for `--help`, and where its function `inspect(request)` is imported from."""

    summary: str
    module: str

    def run(self, request: Request) -> Inspection:
        """Imports the method, which may import JAX, and calls it."""
        function: Callable[[Request], Inspection] = importlib.import_module(self.module).inspect
        return function(request)


METHODS: dict[str, Method] = {
    "augment": Method("what config.augment makes of training images", "cnn_jax.inspect.augment"),
}
"""Every method by name. Importing this table imports no JAX."""
