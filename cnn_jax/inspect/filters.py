"""`filters`: the filters of the first layer as images (Krizhevsky et al. 2012, figure 3; Zeiler and Fergus 2013, 6).

Every filter is scaled by its own largest weight, zero is mid-grey. Zeiler and Fergus (section 4.1) looked at AlexNet's
this way and found extremely high and low frequencies, filters that dominate, and dead ones. Of a network whose first
layer is fully connected, the weights of each unit are shown as a template of the image.
"""

from __future__ import annotations

import math

import numpy as np

from cnn_jax.errors import ConfigError
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.calls import has_kernel, kernels_of, layer_calls
from cnn_jax.inspect.dead import firing
from cnn_jax.inspect.examples import choose
from cnn_jax.inspect.network import Network, Subject, as_network
from cnn_jax.inspect.picture import mosaic, show_image, signed
from cnn_jax.plotting import PALETTE, new_figure, style

EXAMPLES = 256
LOW = 0.1
"""A filter is low whose root mean square weight is below this share of the median of all."""
MOST = 256
"""Filters shown, the first ones; the data has all."""


def first_filters(subject: Subject, image_shape: tuple[int, int, int]) -> tuple[str, np.ndarray]:
    """The filters of the first layer.

    Args:
        subject: a run, or (model, variables).
        image_shape: (H, W, C).

    Returns:
        The layer's name, and float32 [filters, height, width, C].

    Raises:
        ConfigError: a first layer whose filters are no images.
    """
    network = as_network(subject)
    name, kernel = _first_kernel(network, image_shape)
    height, width, channels = image_shape
    if kernel.ndim == 2 and kernel.shape[0] == math.prod(image_shape):
        kernel = kernel.reshape(height, width, channels, -1)
    if kernel.ndim != 4 or kernel.shape[2] not in (1, 3):
        shape = "x".join(map(str, kernel.shape))
        raise ConfigError(235, f"layer {name} has kernels of {shape}, which are no images of 1 or 3 channels")
    return name, np.moveaxis(kernel, -1, 0)


def root_mean_squares(filters: np.ndarray) -> np.ndarray:
    """Of the weights of each filter, [filters]; Zeiler and Fergus (section 3) bound it by 0.1 while training."""
    return np.sqrt(np.square(filters.astype(np.float64)).mean(axis=(1, 2, 3)))


def low(rms: np.ndarray) -> np.ndarray:
    """Which filters have weights below `LOW` of the median filter's, bool [filters]."""
    return rms < LOW * np.median(rms)


def inspect(request: Request) -> Inspection:
    """The grid of filters, and how large their weights are.

    Raises:
        ConfigError: a first layer whose filters are no images.
        DataError: data that is missing or broken.
    """
    import pandas as pd

    network, shape = as_network(request.run), request.run.spec.image_shape
    name, filters = first_filters(network, shape)
    rms = root_mean_squares(filters)
    weak = low(rms)
    examples = choose(request, EXAMPLES)
    # The first activation belongs to the first layer wherever it has as many maps.
    fires = next((layer.share for layer in firing(network, examples.image) if len(layer.share) == len(rms)), None)
    dead = None if fires is None else fires == 0
    size = "x".join(map(str, filters.shape[1:]))
    facts = {
        "layer": name,
        "filters": len(filters),
        "size": list(filters.shape[1:]),
        "rms": {"smallest": float(rms.min()), "median": float(np.median(rms)), "largest": float(rms.max())},
        "low": int(weak.sum()),
        "low_below": LOW * float(np.median(rms)),
        "dead": None if dead is None else int(dead.sum()),
        "n": len(examples.image),
        "images": examples.source,
    }
    never = "" if dead is None else f"; {dead.sum()} never fire on n = {len(examples.image)} images"
    lines = [f"{name}: {len(filters)} filters of {size}; {weak.sum()} below {LOW:.0%} of the median weight{never}"]
    table = pd.DataFrame({"filter": np.arange(len(rms)), "rms": rms, "low": weak})
    if fires is not None:
        table["fires"] = fires
    title = f"{name}: {len(filters)} filters of {size}, each scaled by its own largest weight"
    with style():
        picture = _drawn(filters, rms, title, facts["low_below"])
    return Inspection({"filters": picture}, facts, lines, {"filters": filters, "statistics": table})


def _first_kernel(network: Network, image_shape: tuple[int, int, int]) -> tuple[str, np.ndarray]:
    import jax

    found: list[tuple[str, list]] = []

    def forward(variables, x):
        calls = [call for call in layer_calls(network, variables, x) if has_kernel(network, call)]
        found.extend((call.name, kernels_of(network, call)) for call in calls[:1])

    jax.eval_shape(forward, network.variables, jax.ShapeDtypeStruct((1, *image_shape), np.float32))
    if not found:
        raise ConfigError(235, f"{type(network.model).__name__} has no layer with filters")
    name, kernels = found[0]
    return name, np.asarray(kernels[0], np.float32)


def _drawn(filters: np.ndarray, rms: np.ndarray, title: str, below: float):
    shown = filters[:MOST]
    columns = math.ceil(math.sqrt(len(shown) * 1.6))
    rows = -(-len(shown) // columns)
    figure = new_figure(7.2, 0.5 + 5.0 * rows / columns)
    grid, side = figure.subplots(1, 2, width_ratios=(5, 1.6))
    # Gaps are an eighth of a filter, whatever its size in pixels.
    times = -(-8 // filters.shape[1])
    large = signed(shown, 100).repeat(times, 1).repeat(times, 2)
    show_image(grid, mosaic(large, columns, gap=max(1, large.shape[1] // 10)), title)
    side.plot(np.arange(1, len(rms) + 1), np.sort(rms)[::-1], color=PALETTE[1], drawstyle="steps-mid")
    side.axhline(below, color=PALETTE[2], linestyle="--", linewidth=1)
    side.annotate("low", (1, below), xytext=(0, 2), textcoords="offset points", color=PALETTE[2], fontsize=8)
    side.set_ylim(0)
    side.set_xlabel("filter, by rank")
    side.set_ylabel("root mean square weight")
    return figure
