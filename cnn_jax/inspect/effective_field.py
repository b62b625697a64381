"""`effective_field`: how much of its receptive field a unit really uses (Luo et al. 2016, NIPS 29, figure 1).

The gradient of a feature map's middle unit, summed over maps, in the pixels; its magnitude, summed over channels and
averaged over images, is the effective receptive field. It is near a Gaussian and takes a vanishing share of the
theoretical field as networks get deeper. Like the paper, a pixel counts as part of it whose magnitude is above 4.55% of
the largest (1 - 95.45%, two standard deviations).

Where the theoretical field is larger than the image, the effective one is cut by the image's border, and a small share
of the theoretical area says nothing about the network: the share of what lies in the image is given beside it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import choose
from cnn_jax.inspect.network import Subject, as_network, batches, compiled_once, find_tap, tap_shapes
from cnn_jax.inspect.picture import NARROWEST, show_image
from cnn_jax.inspect.window import Box, Window
from cnn_jax.plotting import PALETTE, new_figure, style

EXAMPLES = 64
THRESHOLD = 1 - 0.9545


class Gaussian(NamedTuple):
    """A Gaussian without correlation, height * exp(-(y - row)^2 / 2 sigma_y^2 - ...), and how well it fits.

    Attributes:
        height: at its centre.
        row: of the centre, in pixels.
        column: of the centre.
        sigma_y: standard deviation down, in pixels.
        sigma_x: standard deviation across.
        r2: the share of the variance of the map that it explains.
    """

    height: float
    row: float
    column: float
    sigma_y: float
    sigma_x: float
    r2: float


def effective_field(subject: Subject, images: Any, tap: str) -> np.ndarray:
    """Mean magnitude of the gradient of the middle unit of a tap, all maps together, in every pixel.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        tap: its name; it must have feature maps.

    Returns:
        float64 [H, W].

    Raises:
        ConfigError: no such tap, or one without feature maps.
    """
    network = as_network(subject)
    find_tap(network, np.shape(images)[1:], tap, maps=True)

    @compiled_once
    def reach(variables, x):
        def middle(x):
            values = network.apply(variables, x)[1][tap]
            return values[:, values.shape[1] // 2, values.shape[2] // 2].sum()

        return jnp.abs(jax.grad(middle)(x)).sum(axis=(0, 3))

    found = [np.asarray(reach(network.variables, network.inputs(batch)), np.float64) for batch in batches(images)]
    return np.sum(found, axis=0) / len(images)


def area(field: np.ndarray) -> int:
    """Pixels whose magnitude is above the threshold of the largest."""
    return int((field > THRESHOLD * field.max()).sum()) if field.max() > 0 else 0


def fit_gaussian(field: np.ndarray) -> Gaussian:
    """The Gaussian nearest to the map in least squares, started from the map's moments."""
    from scipy.optimize import least_squares

    y, x = np.mgrid[: field.shape[0], : field.shape[1]].astype(np.float64)
    scale = field.max()
    if not scale > 0:
        return Gaussian(0.0, (field.shape[0] - 1) / 2, (field.shape[1] - 1) / 2, 0.0, 0.0, 0.0)
    weight = field / field.sum()
    row, column = (weight * y).sum(), (weight * x).sum()
    spread = [math.sqrt(max((weight * (at - c) ** 2).sum(), 0.1)) for at, c in ((y, row), (x, column))]

    def values(p):
        return p[0] * np.exp(-((y - p[1]) ** 2) / (2 * p[3] ** 2) - (x - p[2]) ** 2 / (2 * p[4] ** 2))

    bounds = (
        [0, -1, -1, 0.1, 0.1],
        [10, field.shape[0], field.shape[1], 10 * field.shape[0], 10 * field.shape[1]],
    )
    best = least_squares(lambda p: (values(p) - field / scale).ravel(), [1, row, column, *spread], bounds=bounds).x
    rests = (values(best) - field / scale, (field - field.mean()) / scale)
    left, total = (float(np.square(rest).sum()) for rest in rests)
    height, row, column, sigma_y, sigma_x = map(float, best)
    return Gaussian(height * float(scale), row, column, sigma_y, sigma_x, 1 - left / total if total > 0 else 1.0)


def inspect(request: Request) -> Inspection:
    """The effective field of every tap with feature maps, or of one, within its theoretical field.

    Raises:
        ConfigError: no such tap, or none with feature maps.
        DataError: data that is missing or broken.
    """
    import pandas as pd

    network, shape = as_network(request.run), request.run.spec.image_shape
    find_tap(network, shape, request.tap, maps=True)
    sizes = {name: size for name, size in tap_shapes(network, shape).items() if len(size) == 3}
    taps = list(sizes) if request.tap is None else [request.tap]
    examples, window = choose(request, EXAMPLES), Window(network, shape)
    rows, fields, boxes = [], {}, {}
    for tap in taps:
        middle = sizes[tap][0] // 2, sizes[tap][1] // 2
        field = fields[tap] = effective_field(network, examples.image, tap)
        box, full = (window.box(tap, middle, clip=clip) for clip in (True, False))
        boxes[tap] = box
        inside, theoretical = (math.prod(hi - lo + 1 for lo, hi in b) for b in (box, full))
        gaussian = fit_gaussian(field)
        rows.append(
            {
                "tap": tap,
                "theoretical": full[0][1] - full[0][0] + 1,
                "theoretical_area": theoretical,
                "area_in_image": inside,
                "effective_area": area(field),
                "effective_side": math.sqrt(area(field)),
                "area_ratio": area(field) / theoretical,
                "area_ratio_in_image": area(field) / inside,
                "sigma_y": gaussian.sigma_y,
                "sigma_x": gaussian.sigma_x,
                "gaussian_r2": gaussian.r2,
            }
        )
    n = len(examples.image)
    with style():
        figure = _drawn(rows, fields, boxes, n, examples.source)
    lines = [
        f"{row['tap']}: theoretical {row['theoretical']}x{row['theoretical']}, effective {row['effective_side']:.1f}^2 "
        f"pixels, {row['area_ratio']:.0%} of its area ({row['area_ratio_in_image']:.0%} of what lies in the image); "
        f"sigma {row['sigma_y']:.1f}, {row['sigma_x']:.1f}, R2 {row['gaussian_r2']:.2f}"
        for row in rows
    ]
    facts = {"n": n, "images": examples.source, "threshold": THRESHOLD, "taps": rows}
    data = {"fields": np.stack([fields[tap] for tap in taps]), "numbers": pd.DataFrame(rows)}
    return Inspection({"effective_field": figure}, facts, lines, data)


def _drawn(rows, fields, boxes: dict[str, Box], n, source):
    from matplotlib.patches import Rectangle

    columns = min(4, len(rows))
    down = -(-len(rows) // columns)
    figure = new_figure(max(NARROWEST, 1.9 * columns + 0.4), 2.75 * down + 0.6)
    axes = figure.subplots(down, columns, squeeze=False)
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for axis, row in zip(axes.flat, rows, strict=False):
        field, ((top, bottom), (left, right)) = fields[row["tap"]], boxes[row["tap"]]
        show_image(axis, field / max(field.max(), 1e-30), cmap="gray", vmin=0, vmax=1)
        frame = Rectangle((left - 0.5, top - 0.5), right - left + 1, bottom - top + 1, fill=False)
        frame.set(edgecolor=PALETTE[6], linewidth=1.5, clip_on=False)
        axis.add_patch(frame)
        axis.contour(field, [THRESHOLD * field.max()], colors=PALETTE[5], linewidths=0.9)
        axis.set_title(row["tap"], fontsize=8, pad=3)
        axis.set_xlabel(
            f"theoretical {row['theoretical']}, effective {row['effective_side']:.0f}\n"
            f"area {row['area_ratio']:.0%}, in the image {row['area_ratio_in_image']:.0%}\n"
            f"σ {row['sigma_y']:.1f}, {row['sigma_x']:.1f}",
            fontsize=7,
        )
    figure.suptitle(
        f"Effective receptive fields; orange: theoretical, within the image;\nblue: 4.55% of the largest; "
        f"n = {n} {source}",
        fontsize=9,
    )
    return figure
