"""`gradcam`: where a tap sees a class (Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2, figure 1).

Each feature map is weighted by the mean over places of the gradient of the class's logit in it; what is positive of
their sum is the map. Guided Grad-CAM is its product with guided backpropagation (section 3.2).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import choose, described, targets
from cnn_jax.inspect.network import Network, Subject, as_network, batches, compiled_once, find_tap
from cnn_jax.inspect.picture import enlarged, label_row, panels, show_image, show_over, signed
from cnn_jax.inspect.saliency import guided
from cnn_jax.inspect.tail import logits_behind
from cnn_jax.ops.relu_rule import ruled_relu
from cnn_jax.plotting import style

EXAMPLES = 6


def gradcam(subject: Subject, images: Any, labels: Any, tap: str) -> np.ndarray:
    """The Grad-CAM map of each image's class at a tap (equation 2).

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        labels: int [N], the class of each.
        tap: its name; it must have feature maps.

    Returns:
        float32 [N, h, w], the size of the tap, not negative.

    Raises:
        ConfigError: no such tap, or one without feature maps.
    """
    network = as_network(subject)
    find_tap(network, np.shape(images)[1:], tap, maps=True)

    weigh = _weighing(network, tap, ruled_relu())
    parts = zip(batches(images), batches(np.asarray(labels, np.int32)), strict=True)
    return np.concatenate([np.asarray(weigh(network.variables, network.inputs(x), y)) for x, y in parts])


@functools.lru_cache(maxsize=8)
def _weighing(network: Network, tap: str, rule: object):
    # The rule of the ReLUs is asked for while tracing: it belongs to what is kept.
    @compiled_once
    def weigh(variables, x, label):
        maps = network.apply(variables, x)[1][tap]

        def score(value):
            logits = logits_behind(network, tap, variables, x, value)
            return jnp.take_along_axis(logits, label[:, None], axis=-1).sum()

        weight = jax.grad(score)(maps).mean(axis=(1, 2), keepdims=True)
        return jax.nn.relu((weight * maps).sum(axis=-1))

    return weigh


def inspect(request: Request) -> Inspection:
    """Image, guided backpropagation, Grad-CAM and Guided Grad-CAM, as in figure 1.

    Raises:
        ConfigError: no such tap or class.
        DataError: data or a file that is missing or broken.
    """
    network, shape = as_network(request.run), request.run.spec.image_shape
    tap = find_tap(network, shape, request.tap, maps=True)
    examples = choose(request, EXAMPLES)
    target = targets(network, examples, request.class_name)
    maps = gradcam(network, examples.image, target, tap)
    large = enlarged(maps, shape[:2])
    sharp = guided(network, examples.image, target)
    rows = described(network, examples, target)
    with style():
        figure = _drawn(examples.image, rows, large, sharp, f"{tap}, {maps.shape[1]}x{maps.shape[2]}")
    facts = {"tap": tap, "map": list(maps.shape[1:]), "source": examples.source, "examples": rows}
    lines = [f"{row['image']}: {row['target']}, p = {row['probability']:.3f}" for row in rows]
    return Inspection({"gradcam": figure}, facts, lines, {"gradcam": maps, "guided": sharp})


def _drawn(images, rows, large, sharp, tap):
    figure, axes = panels(len(images), 4, 1.35, top=0.6, left=0.9)
    titles = ("image", "guided backprop", "Grad-CAM", "Guided Grad-CAM")
    for i, image in enumerate(images):
        show_image(axes[i, 0], image)
        show_image(axes[i, 1], signed(sharp[i]))
        show_over(axes[i, 2], image, large[i])
        show_image(axes[i, 3], signed(sharp[i] * large[i][..., None]))
        label_row(axes[i, 0], f"{rows[i]['target']}\np = {rows[i]['probability']:.2f}")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8, pad=3)
    figure.suptitle(f"Grad-CAM at {tap} interpolated", fontsize=9)
    return figure
