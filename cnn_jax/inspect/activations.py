"""`activations`: what a tap holds for images (LeCun et al. 1998, figure 13, shows LeNet-5's layers this way).

The feature maps that respond most over all the images shown, one column each, every map on its own scale from the
smallest to the largest value; of a hidden layer, all units as one strip.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import choose
from cnn_jax.inspect.network import Subject, as_network, features, find_tap, tap_shapes
from cnn_jax.inspect.picture import label_row, panels, show_image
from cnn_jax.plotting import SEQUENTIAL, new_figure, style

EXAMPLES = 6
MAPS = 9
"""Feature maps drawn; the data has all."""


def activations(subject: Subject, images: Any, tap: str) -> np.ndarray:
    """A tap of images: float32 [N, h, w, C], or [N, units] of a hidden layer.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        tap: its name; `cnn-jax show MODEL --taps` lists them.

    Raises:
        ConfigError: no such tap.
    """
    network = as_network(subject)
    return features(network, images, find_tap(network, np.shape(images)[1:], tap))


def strongest(values: np.ndarray, count: int) -> np.ndarray:
    """The feature maps with the largest mean over images of their largest value, strongest first, int [count]."""
    peak = values.reshape(len(values), -1, values.shape[-1]).max(axis=1).mean(axis=0)
    return np.argsort(-peak, kind="stable")[:count]


def inspect(request: Request) -> Inspection:
    """Images, and beside each what the tap holds.

    Raises:
        ConfigError: no such tap.
        DataError: data or a file that is missing or broken.
    """
    network = as_network(request.run)
    shape = request.run.spec.image_shape
    # The first tap has the largest pictures.
    tap = find_tap(network, shape, request.tap or next(iter(tap_shapes(network, shape)), None))
    examples = choose(request, EXAMPLES)
    values = features(network, examples.image, tap)
    chosen = strongest(values, MAPS)
    names = examples.name
    if examples.label is not None:
        names = [network.class_name(int(label)) for label in examples.label]
    with style():
        draw = _drawn_maps if values.ndim == 4 else _drawn_units
        figure = draw(examples.image, names, values, chosen, tap)
    facts = {
        "tap": tap,
        "shape": list(values.shape[1:]),
        "images": examples.name,
        "source": examples.source,
        "maps": chosen.tolist() if values.ndim == 4 else None,
        "mean": float(values.mean()),
        "std": float(values.std()),
        "zero_share": float((values == 0).mean()),
    }
    shape = "x".join(map(str, values.shape[1:]))
    lines = [
        f"{tap} ({shape}) of {len(values)} images: mean {facts['mean']:.4f}, std {facts['std']:.4f}, "
        f"{facts['zero_share']:.1%} zeros"
    ]
    return Inspection({"activations": figure}, facts, lines, {"activations": values})


def _drawn_maps(images, names, values, chosen, tap):
    figure, axes = panels(len(images), 1 + len(chosen), 0.85, left=0.8)
    for i, image in enumerate(images):
        show_image(axes[i, 0], image, "image" if i == 0 else "")
        label_row(axes[i, 0], names[i])
        for j, channel in enumerate(chosen, 1):
            low, high = values[..., channel].min(), values[..., channel].max()
            title = f"map {channel}" if i == 0 else ""
            show_image(axes[i, j], values[i, ..., channel], title, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
    figure.suptitle(f"{tap}: the {len(chosen)} strongest of {values.shape[-1]} feature maps", fontsize=9)
    return figure


def _drawn_units(images, names, values, chosen, tap):
    figure = new_figure(7, 0.8 + 0.55 * len(images))
    axes = figure.subplots(len(images), 2, width_ratios=(1, 10), squeeze=False)
    scale = {"cmap": SEQUENTIAL, "aspect": "auto", "vmin": values.min(), "vmax": values.max()}
    strips = []
    for i, image in enumerate(images):
        show_image(axes[i, 0], image)
        label_row(axes[i, 0], names[i])
        strips.append(show_image(axes[i, 1], values[i][None], **scale))
    axes[-1, 1].set_xlabel(f"unit of {tap}, 0 to {values.shape[-1] - 1}")
    figure.colorbar(strips[0], ax=axes[:, 1].tolist(), label="activation", fraction=0.03)
    return figure
