"""`occlusion`: a grey square slid over the image (Zeiler and Fergus 2013, section 4.2 and figure 7).

For every place of the square: the total activation of the one feature map that responds most to the whole image, the
probability of the true class, and the class that is then the most probable. If the network sees the object and not its
surroundings, the first two fall where the square covers the object.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.deconvnet import reconstruct, strongest_of
from cnn_jax.inspect.examples import choose, described, targets
from cnn_jax.inspect.network import BATCH, Subject, as_network, compiled_once, find_tap
from cnn_jax.inspect.picture import label_row, panels, show_image, signed
from cnn_jax.plotting import PALETTE, SEQUENTIAL, style

EXAMPLES = 4


class Occlusion(NamedTuple):
    """What the network says of one image behind a square, by the row and column of the square's centre.

    Attributes:
        probability: float32 [rows, columns, num_classes].
        activation: float32 [rows, columns], the map's sum over its places.
        channel: which map.
        centres: the pixel rows and pixel columns of the centres, two arrays.
    """

    probability: np.ndarray
    activation: np.ndarray
    channel: int
    centres: tuple[np.ndarray, np.ndarray]


def occlude(
    subject: Subject, image: Any, tap: str, *, size: int, strides: int = 1, grey: float | None = None
) -> Occlusion:
    """Slides a square over an image; at the border it covers what is left of it.

    Args:
        subject: a run, or (model, variables).
        image: uint8 [H, W, C], or as the network takes it.
        tap: whose strongest feature map is followed.
        size: side of the square, in pixels.
        strides: pixels between two places.
        grey: what the square holds, as the network takes it; by default 0, the mean of the training images for a run.

    Raises:
        ConfigError: no such tap, or one without feature maps.
    """
    network = as_network(subject)
    x = np.asarray(network.inputs(np.asarray(image)[None]))[0]
    find_tap(network, x.shape, tap, maps=True)
    channel = int(strongest_of(network, x[None], tap)[0][0])
    rows, columns = (np.arange((n - 1) % strides // 2, n, strides) for n in x.shape[:2])
    places = [(y, c) for y in rows for c in columns]

    @compiled_once
    def respond(variables, x):
        logits, taps = network.apply(variables, x)
        return jax.nn.softmax(logits), taps[tap][..., channel].sum(axis=(1, 2))

    found = []
    for start in range(0, len(places), BATCH):
        covered = [_covered(x, place, size, 0.0 if grey is None else grey) for place in places[start : start + BATCH]]
        found.append(respond(network.variables, np.stack(covered)))
    probability, activation = (np.concatenate([np.asarray(part[i]) for part in found]) for i in (0, 1))
    grid = len(rows), len(columns)
    return Occlusion(probability.reshape(*grid, -1), activation.reshape(grid), channel, (rows, columns))


def _covered(x: np.ndarray, centre: tuple[int, int], size: int, grey: float) -> np.ndarray:
    covered = x.copy()
    top, left = (max(0, c - size // 2) for c in centre)
    bottom, right = (c - size // 2 + size for c in centre)
    covered[top:bottom, left:right] = grey
    return covered


def inspect(request: Request) -> Inspection:
    """The five columns of figure 7, one row an image.

    Raises:
        ConfigError: no such tap or class.
        DataError: data or a file that is missing or broken.
    """
    network, shape = as_network(request.run), request.run.spec.image_shape
    tap = find_tap(network, shape, request.tap, maps=True)
    examples = choose(request, EXAMPLES)
    target = targets(network, examples, request.class_name)
    size, strides = max(1, round(min(shape[:2]) / 4)), max(1, min(shape[:2]) // 32)
    maps = [occlude(network, image, tap, size=size, strides=strides) for image in examples.image]
    channel, place = strongest_of(network, examples.image, tap)
    projected = reconstruct(network, examples.image, tap, channel, place)
    rows = described(network, examples, target)
    for row, found, label in zip(rows, maps, target, strict=True):
        row["map"] = found.channel
        row["lowest_probability"] = float(found.probability[..., label].min())
        row["right_share"] = float((found.probability.argmax(-1) == label).mean())
    with style():
        figure = _drawn(network, examples.image, maps, projected, rows, target, tap, size)
    facts = {
        "tap": tap,
        "square": size,
        "strides": strides,
        "grey": "mean of the training images",
        "source": examples.source,
        "examples": rows,
    }
    lines = [
        f"{row['image']}: {row['target']}, p = {row['probability']:.3f}, behind the square down to "
        f"{row['lowest_probability']:.3f}; most probable at {row['right_share']:.0%} of its places"
        for row in rows
    ]
    data = {
        "probability": np.stack([found.probability for found in maps]),
        "activation": np.stack([found.activation for found in maps]),
        "projection": projected,
    }
    return Inspection({"occlusion": figure}, facts, lines, data)


def _drawn(network, images, maps, projected, rows, target, tap, size):
    from matplotlib.patches import Patch, Rectangle
    from matplotlib.ticker import MaxNLocator

    figure, axes = panels(len(images), 5, 1.45, top=0.6, left=1.9)
    titles = (
        "(a) image, square",
        f"(b) {tap}, strongest\nmap, total",
        "(c) that map,\nprojected",
        "(d) p(class)",
        "(e) most probable\nclass",
    )
    height, width = images.shape[1:3]
    for i, image in enumerate(images):
        found, row = maps[i], axes[i]
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        show_image(row[0], image)
        mean = tuple(float(v) for v in np.broadcast_to(network.mean, (3,)))
        row[0].add_patch(Rectangle((0, 0), size - 1, size - 1, facecolor=mean, edgecolor="white", linewidth=0.8))
        label_row(row[0], rows[i]["target"])
        drawn = show_image(row[1], found.activation, cmap=SEQUENTIAL, extent=extent)
        bars = [figure.colorbar(drawn, ax=row[1], fraction=0.05, ticks=MaxNLocator(3))]
        show_image(row[2], signed(projected[i]), vmin=0, vmax=255, cmap="gray")
        chance = found.probability[..., target[i]]
        drawn = show_image(row[3], chance, cmap=SEQUENTIAL, extent=extent)
        bars.append(figure.colorbar(drawn, ax=row[3], fraction=0.05, ticks=MaxNLocator(3)))
        for bar in bars:
            bar.ax.tick_params(labelsize=6)
        # The true class has the first colour; others follow by how often they are seen.
        best = found.probability.argmax(-1)
        others = sorted(set(best.flat) - {int(target[i])}, key=lambda label: -int((best == label).sum()))
        shown = [int(target[i]), *others][: len(_CLASSES)]
        colours = np.full((*best.shape, 3), 255, np.uint8)
        for label, colour in zip(shown, _CLASSES, strict=False):
            colours[best == label] = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        show_image(row[4], colours, extent=extent)
        seen = [(label, colour) for label, colour in zip(shown, _CLASSES, strict=False) if (best == label).any()]
        handles = [Patch(color=colour, label=network.class_name(label)) for label, colour in seen]
        if len(others) >= len(_CLASSES):
            handles.append(Patch(facecolor="white", edgecolor=PALETTE[0], linewidth=0.5, label="others"))
        row[4].legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6, handlelength=0.8)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8, pad=3)
    return figure


_CLASSES = (PALETTE[1], PALETTE[6], PALETTE[3], PALETTE[4], PALETTE[5], PALETTE[2])
