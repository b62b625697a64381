"""`neighbours`: predictions, and the nearest training images (Krizhevsky et al. 2012, section 6.1, figure 4).

Left, test images with the five likeliest classes as bars, the true one in another colour. Right, test images in the
first column, and the training images whose last hidden layer has the smallest Euclidean distance from theirs: they
look alike to the network, often far apart in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import choose
from cnn_jax.inspect.network import Subject, as_network, batches, features, last_hidden, probabilities
from cnn_jax.inspect.picture import show_image
from cnn_jax.plotting import PALETTE, new_figure, style

EXAMPLES = 8
NEAREST = 6
QUERIES = 5
"""Test images of the right panel, the first of the left one's."""


class Neighbours(NamedTuple):
    """The nearest images of each query, nearest first.

    Attributes:
        place: int [N, nearest], indices into the images searched.
        distance: float32 [N, nearest], Euclidean, between features.
    """

    place: np.ndarray
    distance: np.ndarray


def neighbours(
    subject: Subject, queries: Any, images: Any, *, tap: str | None = None, nearest: int = NEAREST
) -> Neighbours:
    """Searches images for those whose features are nearest to the queries'.

    Args:
        subject: a run, or (model, variables).
        queries: [N, H, W, C], uint8 or as the network takes them.
        images: those searched, as the queries; they may stay in their files.
        tap: whose features; None for the last hidden layer.
        nearest: how many for each query.

    Raises:
        ConfigError: no such tap, or a network without taps.
    """
    network = as_network(subject)
    tap = tap or last_hidden(network, np.shape(queries)[1:])
    parts = (features(network, batch, tap) for batch in batches(images))
    return nearest_of(features(network, queries, tap), parts, nearest)


def nearest_of(wanted: np.ndarray, parts: Iterable[np.ndarray], nearest: int = NEAREST) -> Neighbours:
    """Searches features for those nearest to some others.

    Args:
        wanted: float [N, ...], the queries'.
        parts: float [n, ...], those searched, in order, as many at a time as one likes.
        nearest: how many for each query.
    """
    wanted = wanted.reshape(len(wanted), -1).astype(np.float64)
    best = np.full((len(wanted), 0), np.inf), np.zeros((len(wanted), 0), np.int64)
    start = 0
    for part in parts:
        found = part.reshape(len(part), -1)
        # Differences and not a product of matrices: near neighbours would drown in its rounding.
        square = np.stack([np.square(found - query).sum(-1) for query in wanted])
        index = np.broadcast_to(np.arange(len(part)) + start, square.shape)
        square, index = (np.concatenate(pair, axis=1) for pair in zip(best, (square, index), strict=True))
        order = np.argsort(square, axis=1, kind="stable")[:, :nearest]
        best = np.take_along_axis(square, order, 1), np.take_along_axis(index, order, 1)
        start += len(part)
    return Neighbours(best[1], np.sqrt(best[0]).astype(np.float32))


def inspect(request: Request) -> Inspection:
    """Both panels of AlexNet's figure 4.

    Raises:
        ConfigError: a network without hidden layers.
        DataError: data or a file that is missing or broken.
    """
    import pandas as pd

    network = as_network(request.run)
    tap = last_hidden(network, request.run.spec.image_shape)
    examples = choose(request, EXAMPLES)
    train = request.dataset.splits["train"]
    chances = probabilities(network, examples.image)
    found = neighbours(network, examples.image, train.image, tap=tap)
    images = np.stack([np.stack([np.asarray(train.image[int(i)]) for i in row]) for row in found.place[:QUERIES]])
    label = train.label[found.place]
    same = None if examples.label is None else float((label == examples.label[:, None]).mean())
    with style():
        figure = _drawn(network, examples, chances, images, tap, len(train.label))
    table = pd.DataFrame(
        {
            "image": np.repeat(examples.name, found.place.shape[1]),
            "rank": np.tile(np.arange(1, found.place.shape[1] + 1), len(examples.image)),
            "train": found.place.reshape(-1),
            "class": [network.class_name(int(v)) for v in label.reshape(-1)],
            "distance": found.distance.reshape(-1),
        }
    )
    order = np.argsort(-chances, axis=1, kind="stable")[:, :5]
    rows = [
        {
            "image": examples.name[i],
            "class": None if examples.label is None else network.class_name(int(examples.label[i])),
            "top5": [{"class": network.class_name(int(k)), "probability": float(chances[i, k])} for k in order[i]],
            "neighbours": [int(v) for v in found.place[i]],
        }
        for i in range(len(examples.image))
    ]
    facts = {"tap": tap, "searched": len(train.label), "same_class": same, "examples": rows, "source": examples.source}
    said = [", ".join(f"{k['class']} {k['probability']:.3f}" for k in row["top5"]) for row in rows]
    lines = [f"{name}: {words}" for name, words in zip(examples.name, said, strict=True)]
    if same is not None:
        lines.append(f"{same:.1%} of the nearest in {tap} are of the same class (n = {len(train.label)} searched)")
    return Inspection({"neighbours": figure}, facts, lines, {"neighbours": table})


def _drawn(network, examples, chances, images, tap, searched):
    from matplotlib.gridspec import GridSpec

    count = len(examples.image)
    columns = min(4, count)
    rows = -(-count // columns)
    height = max(2.0 * rows, 3.2)
    # Wide enough for the right panel's images to fill its height.
    widths = 1.5 * columns, min(height / len(images), 1.0) * (1 + images.shape[1])
    figure = new_figure(sum(widths), height + 0.4)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=widths, wspace=0.02)[0]
    grid = GridSpec(2 * rows, columns, figure=left, height_ratios=[1.25, 1] * rows)
    for i in range(count):
        picture = left.add_subplot(grid[2 * (i // columns), i % columns])
        bars = left.add_subplot(grid[2 * (i // columns) + 1, i % columns])
        truth = None if examples.label is None else int(examples.label[i])
        show_image(picture, examples.image[i])
        picture.set_xlabel(examples.name[i] if truth is None else network.class_name(truth), fontsize=8, labelpad=2)
        _bars(bars, network, chances[i], truth)
    left.suptitle("Test images, true class, and the five likeliest", fontsize=9)
    cells = right.subplots(len(images), 1 + images.shape[1], squeeze=False)
    for row, query, near in zip(cells, examples.image, images, strict=False):
        for axes, image in zip(row, (query, *near), strict=True):
            show_image(axes, image)
        for side in row[0].spines.values():
            side.set(visible=True, color=PALETTE[2], linewidth=1.6)
    right.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)  # type: ignore[union-attr]
    right.suptitle(f"A test image (framed), and the nearest of {searched} training images in {tap}", fontsize=9)
    return figure


def _bars(axes, network, chance, truth):
    order = np.argsort(-chance, kind="stable")[:5]
    colours = [PALETTE[2] if truth is not None and label == truth else PALETTE[5] for label in order]
    axes.barh(range(len(order)), chance[order], color=colours, height=0.85)
    for y, label in enumerate(order):
        axes.text(0.02, y, network.class_name(int(label)), va="center", fontsize=7)
    axes.set_xlim(0, 1)
    axes.set_ylim(4.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
