"""`stability`: how far features move when the image does (Zeiler and Fergus 2013, section 4, figure 5).

Images are moved down, enlarged and turned. For every tap, the Euclidean distance between its features of the moved and
of the original image; and the probability of the true class. Small moves change the first layer much and the last
little; the network is stable to translation and scale, and not to rotation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import choose, described, targets
from cnn_jax.inspect.network import Network, Subject, as_network, compiled_once
from cnn_jax.inspect.picture import coloured, mosaic
from cnn_jax.plotting import PALETTE, SEQUENTIAL, new_figure, style

EXAMPLES = 5
MOVES: dict[str, tuple[str, np.ndarray]] = {
    "translation": ("down (% of the height)", np.linspace(-25, 25, 21)),
    "scale": ("enlarged (times)", np.linspace(1, 1.8, 17)),
    "rotation": ("turned left (degrees)", np.linspace(0, 345, 24)),
}
"""What is done to images, in words with the unit, and how much; the paper goes to 60 of 224 pixels, 1.8 and 350."""


class Stability(NamedTuple):
    """What one kind of move does to images.

    Attributes:
        amount: [M], as `MOVES` gives it.
        probability: float32 [M, N], of the class.
        distance: of every tap float32 [M, N], from the features of the image not moved.
        norm: of every tap float32 [N], the length of those features.
    """

    amount: np.ndarray
    probability: np.ndarray
    distance: dict[str, np.ndarray]
    norm: dict[str, np.ndarray]


def moved(images: jax.Array, kind: str, amount: Any) -> jax.Array:
    """Images float [N, H, W, C] under one move, bilinear about the centre, the border repeated beyond it.

    Args:
        images: the images.
        kind: a key of `MOVES`.
        amount: how much, as there.
    """
    height, width = images.shape[1:3]
    amount = jnp.asarray(amount, jnp.float32)
    centre = jnp.asarray([(height - 1) / 2, (width - 1) / 2], jnp.float32)
    angle = amount * (math.pi / 180) if kind == "rotation" else jnp.float32(0)
    factor = 1 / amount if kind == "scale" else jnp.float32(1)
    shift = amount / 100 * height if kind == "translation" else jnp.float32(0)
    # From where each pixel is read: the inverse of the move.
    turn = jnp.stack([jnp.stack([jnp.cos(angle), jnp.sin(angle)]), jnp.stack([-jnp.sin(angle), jnp.cos(angle)])])
    matrix = factor * turn
    offset = centre - matrix @ centre - jnp.stack([shift, jnp.zeros((), jnp.float32)])
    return jax.vmap(lambda image: ops.affine(image, matrix, offset, outside="edge"))(images)


def stability(subject: Subject, images: Any, labels: Any, kind: str, amounts: Sequence[float] | None = None):
    """Moves images, and compares features with those of the images as they are.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        labels: int [N], the class of each.
        kind: a key of `MOVES`.
        amounts: how much; by default as there.

    Returns:
        `Stability`.
    """
    network = as_network(subject)
    x, label = network.inputs(images), jnp.asarray(labels, jnp.int32)
    order: list[str] = []

    def look(variables, x):
        logits, taps = network.apply(variables, x)
        kept = {name: value for name, value in taps.items() if not name.startswith("aux_")}
        order[:] = kept
        chance = jnp.take_along_axis(jax.nn.softmax(logits), label[:, None], axis=-1)[:, 0]
        return chance, {name: value.reshape(value.shape[0], -1) for name, value in kept.items()}

    @compiled_once
    def compare(variables, x, still, amount):
        chance, taps = look(variables, moved(x, kind, amount))
        return chance, {name: jnp.sqrt(jnp.square(taps[name] - still[name]).sum(-1)) for name in taps}

    amount = np.asarray(MOVES[kind][1] if amounts is None else amounts, np.float64)
    _, still = compiled_once(look)(network.variables, x)
    found = [compare(network.variables, x, still, float(value)) for value in amount]
    return Stability(
        amount,
        np.stack([np.asarray(chance) for chance, _ in found]),
        {name: np.stack([np.asarray(distance[name]) for _, distance in found]) for name in order},
        {name: np.linalg.norm(np.asarray(still[name]), axis=-1) for name in order},
    )


def inspect(request: Request) -> Inspection:
    """The rows of figure 5, its first and last layer; and all layers beside each other.

    Raises:
        ConfigError: a network without taps.
        DataError: data or a file that is missing or broken.
    """
    import pandas as pd

    from cnn_jax.inspect.network import last_hidden

    network = as_network(request.run)
    last = last_hidden(network, request.run.spec.image_shape)
    examples = choose(request, EXAMPLES)
    target = targets(network, examples, None)
    found = {kind: stability(network, examples.image, target, kind) for kind in MOVES}
    names = [network.class_name(int(label)) for label in target]
    tables, relative = [], {}
    for kind, moves in found.items():
        for tap, distance in moves.distance.items():
            share = distance / np.maximum(moves.norm[tap], 1e-12)
            relative[kind, tap] = float(share.mean())
            tables.append(
                pd.DataFrame(
                    {
                        "move": kind,
                        "amount": np.repeat(moves.amount, len(names)),
                        "tap": tap,
                        "image": np.tile(examples.name, len(moves.amount)),
                        "distance": distance.reshape(-1),
                        "relative_distance": share.reshape(-1),
                        "probability": moves.probability.reshape(-1),
                    }
                )
            )
    with style():
        pictures = {
            "stability": _drawn(network, examples.image, names, found, last),
            "layers": _drawn_layers(found, len(names)),
        }
    facts = {
        "n": len(names),
        "source": examples.source,
        "examples": described(network, examples, target),
        "moves": [
            {
                "move": kind,
                "amounts": moves.amount.tolist(),
                "mean_probability": float(moves.probability.mean()),
                "mean_relative_distance": {tap: relative[kind, tap] for tap in moves.distance},
            }
            for kind, moves in found.items()
        ],
    }
    first = next(iter(found["scale"].distance))
    lines = [
        f"{kind}: features move by {relative[kind, first]:.0%} of their length at {first}, "
        f"{relative[kind, last]:.0%} at {last}; mean p(true class) {moves.probability.mean():.2f} (n = {len(names)})"
        for kind, moves in found.items()
    ]
    return Inspection(pictures, facts, lines, {"stability": pd.concat(tables)})


def _drawn(network: Network, images, names, found: dict[str, Stability], last: str):
    figure = new_figure(10.5, 7.2)
    axes = figure.subplots(3, 4, width_ratios=(1.25, 1, 1, 1))
    first = next(iter(found["scale"].distance))
    for row, (kind, moves) in zip(axes, found.items(), strict=True):
        shown = moves.amount[np.linspace(0, len(moves.amount) - 1, 5).round().astype(int)]
        pixels = np.stack([network.pixels(moved(network.inputs(images[:5]), kind, value)) for value in shown], 1)
        sheet = mosaic(coloured(pixels.reshape(-1, *pixels.shape[2:])), 5, gap=2)
        row[0].imshow(sheet)
        step = images.shape[2] + 2
        row[0].set_xticks(np.arange(5) * step + images.shape[2] / 2, [f"{value:.3g}" for value in shown])
        row[0].set_yticks([])
        for side in ("left", "bottom"):
            row[0].spines[side].set_visible(False)
        panels = (
            (moves.distance[first], f"distance at {first}"),
            (moves.distance[last], f"distance at {last}"),
            (moves.probability, "p(true class)"),
        )
        for axis, (values, words) in zip(row[1:], panels, strict=True):
            for i, name in enumerate(names):
                axis.plot(moves.amount, values[:, i], color=PALETTE[1 + i % 6], linewidth=1, label=name)
            axis.set_ylim(0, 1.03 if values is moves.probability else None)
            axis.set_ylabel(words)
        for axis in row:
            axis.set_xlabel(MOVES[kind][0])
    figure.legend(*axes[0, -1].get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    figure.suptitle(f"Moved images, features of the first and the last tap; n = {len(names)}", fontsize=9)
    return figure


def _drawn_layers(found: dict[str, Stability], n: int):
    import matplotlib

    figure = new_figure(9.5, 3.0)
    axes = figure.subplots(1, 3, sharey=True)
    shades = matplotlib.colormaps[SEQUENTIAL]
    for axis, (kind, moves) in zip(axes, found.items(), strict=True):
        for i, (tap, distance) in enumerate(moves.distance.items()):
            shade = shades(0.92 * i / max(1, len(moves.distance) - 1))
            share = (distance / np.maximum(moves.norm[tap], 1e-12)).mean(axis=1)
            axis.plot(moves.amount, share, color=shade, linewidth=1.3, label=tap)
        axis.set_xlabel(MOVES[kind][0])
    axes[0].set_ylim(0)
    axes[0].set_ylabel("distance, share of the features' length")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    figure.suptitle(f"Every tap, mean of n = {n} images", fontsize=9)
    return figure
