"""Looking inside: `METHODS` is the one table of what `cnn-jax inspect` can show. Each method is one file here.

A method's file has functions that return arrays, of a `Run` or of `(model, variables)`, for notebooks, and
`inspect(request)`, which chooses images, calls them and draws what the paper drew.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cnn_jax.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from cnn_jax.data import Dataset
    from cnn_jax.evaluate import Run

    Picture: TypeAlias = Image | Figure
    Data: TypeAlias = np.ndarray | pd.DataFrame


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be shown.

    Attributes:
        config: the resolved config.
        workdir: of the run, where one was named.
        examples: how many images; None for as many as the method's paper had, or what is stated in its file.
        tap: the named stage to look at; None for the method's own choice.
        images: image files to look at in place of the data's.
        class_name: the class to look for; None for the true one or, where nobody knows it, the likeliest.
    """

    config: Any
    workdir: str | None
    examples: int | None = None
    tap: str | None = None
    images: tuple[str, ...] = ()
    class_name: str | None = None

    @functools.cached_property
    def run(self) -> Run:
        """The trained network.

        Raises:
            CheckpointError: the workdir holds none.
        """
        from cnn_jax.evaluate import load

        assert self.workdir is not None, "the command sees to it"
        return load(self.workdir)

    @functools.cached_property
    def dataset(self) -> Dataset:
        """What the network was trained on.

        Raises:
            DataError: it is missing, or has changed since.
        """
        from cnn_jax.errors import DataError
        from cnn_jax.train.loop import load_config_data

        dataset = load_config_data(self.config)
        if dataset.fingerprint != self.run.spec.fingerprint:
            raise DataError(
                230, f"{dataset.name} has changed since {self.workdir} was trained on it: restore it, or train again"
            )
        return dataset


class Inspection(NamedTuple):
    """What a method gives.

    Attributes:
        pictures: to be looked at, by name.
        facts: what is known about them, as JSON.
        lines: the same for people.
        data: the numbers drawn, by name: an array, or a table.
    """

    pictures: Mapping[str, Picture]
    facts: dict[str, Any]
    lines: list[str]
    data: Mapping[str, Data] = {}


class Method(NamedTuple):
    """One way of looking.

    Attributes:
        summary: for `--help`.
        module: where its function `inspect(request)` is imported from.
        options: which of `examples`, `tap`, `images` and `class` mean something to it.
        trained: whether it looks at a trained network, and so needs a workdir; otherwise a config will do.
    """

    summary: str
    module: str
    options: frozenset[str]
    trained: bool = True

    def run(self, request: Request) -> Inspection:
        """Imports the method, which may import JAX, and calls it."""
        function: Callable[[Request], Inspection] = importlib.import_module(self.module).inspect
        return function(request)


def _method(name: str, summary: str, *options: str, trained: bool = True) -> Method:
    return Method(summary, f"{__name__}.{name}", frozenset(options), trained)


METHODS: dict[str, Method] = {
    name: _method(name, summary, *options, trained=name != "augment")
    for name, summary, *options in (
        ("augment", "what config.augment makes of training images", "examples"),
        ("filters", "filters of the first layer (Krizhevsky 2012, fig. 3)", "examples"),
        ("activations", "feature maps of a tap", "tap", "examples", "images"),
        ("deconvnet", "what excites feature maps most (Zeiler and Fergus 2013, fig. 2)", "tap", "examples", "images"),
        ("occlusion", "a grey square over the image (same, fig. 7)", "tap", "examples", "images", "class"),
        ("stability", "features of moved images (same, fig. 5)", "examples", "images"),
        ("saliency", "gradients of a class in pixels, by four rules", "examples", "images", "class"),
        ("gradcam", "where a tap sees a class (Selvaraju 2017)", "tap", "examples", "images", "class"),
        ("maximise", "images that a class or a unit likes most (Simonyan 2013)", "tap", "class"),
        ("neighbours", "predictions and nearest training images (Krizhevsky 2012, fig. 4)", "examples", "images"),
        ("effective_field", "effective receptive fields (Luo 2016)", "tap", "examples"),
        ("responses", "standard deviation of each layer's response (He 2015, fig. 7)", "examples"),
        ("dead", "filters that never fire", "examples"),
    )
}
"""Every method by name. Importing this table imports no JAX."""


def check_methods(names: Iterable[str]) -> None:
    """Refuses names of methods that look into no trained network.

    Raises:
        ConfigError: says which there are.
    """
    legal = [name for name, method in METHODS.items() if method.trained]
    for name in names:
        if name not in legal:
            raise ConfigError(243, f"--inspect={name} is no way of looking into a network: use {', '.join(legal)}")
