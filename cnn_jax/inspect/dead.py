"""`dead`: filters that never fire.

A filter whose rectifier is below zero at every place of every image has no gradient, and stays as it is (CS231n,
"Neural Networks 1"; Zeiler and Fergus 2013, section 4.1, find fewer dead features with 7x7 filters than with AlexNet's
11x11). Squashing units have a death of their own: a slope that is everywhere a hundredth of the steepest or less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import nn
from cnn_jax.errors import ConfigError
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.calls import layer_calls
from cnn_jax.inspect.examples import choose
from cnn_jax.inspect.network import Subject, as_network, batches
from cnn_jax.plotting import PALETTE, new_figure, style

EXAMPLES = 1000
_FLAT = 0.01


def _above(x: jax.Array, y: jax.Array) -> jax.Array:
    del y
    return x > 0


def _steep(slope: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array, jax.Array], jax.Array]:
    return lambda x, y: slope(y) > _FLAT


# For each activation, where a unit is alive, from what it took and gave; slopes as shares of the steepest.
ALIVE: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "relu": _above,
    "leaky_relu": _above,
    "prelu": _above,
    "elu": _above,
    "tanh": _steep(lambda y: 1 - y**2),
    "scaled_tanh": _steep(lambda y: 1 - (y / 1.7159) ** 2),
    "sigmoid": _steep(lambda y: 4 * y * (1 - y)),
}


class Firing(NamedTuple):
    """One activation layer.

    Attributes:
        layer: its name.
        kind: of the activation.
        share: [C], the share of places and images at which each filter (of a hidden layer, each unit) is alive.
    """

    layer: str
    kind: str
    share: np.ndarray


def firing(subject: Subject, images: Any) -> list[Firing]:
    """How often each filter of each activation layer fires.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.

    Returns:
        The layers in the order of the network; those with an activation without a side that is dead are left out.
    """
    network = as_network(subject)
    layers: list[tuple[str, str, int]] = []

    def count(variables, x):
        layers.clear()
        counts = []
        for call in layer_calls(network, variables, x):
            kind = call.module.kind if isinstance(call.module, nn.Activation) else ""
            if kind in ALIVE:
                alive = ALIVE[kind](call.taken, call.given).reshape(-1, call.given.shape[-1])
                layers.append((call.name, kind, alive.shape[0] // x.shape[0]))
                counts.append(alive.sum(axis=0, dtype=jnp.int32))
        return counts

    compiled, total = jax.jit(count), None
    for batch in batches(images):
        found = [np.asarray(part, np.int64) for part in compiled(network.variables, network.inputs(batch))]
        total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
    return [
        Firing(name, kind, part / (places * len(images)))
        for (name, kind, places), part in zip(layers, total or [], strict=True)
    ]


def inspect(request: Request) -> Inspection:
    """Shares of dead filters by layer, over `examples` images.

    Raises:
        ConfigError: a network without such activations.
        DataError: data that is missing or broken.
    """
    import pandas as pd

    network = as_network(request.run)
    examples = choose(request, EXAMPLES)
    layers = firing(network, examples.image)
    if not layers:
        raise ConfigError(236, f"{type(network.model).__name__} has no activation that can die: {', '.join(ALIVE)}")
    n = len(examples.image)
    rows = [
        {
            "layer": layer.layer,
            "activation": layer.kind,
            "filters": len(layer.share),
            "dead": int((layer.share == 0).sum()),
            "dead_share": float((layer.share == 0).mean()),
            "mean_firing": float(layer.share.mean()),
        }
        for layer in layers
    ]
    units = pd.concat(
        pd.DataFrame({"layer": layer.layer, "filter": np.arange(len(layer.share)), "fires": layer.share})
        for layer in layers
    )
    with style():
        figure = _drawn(layers, n, examples.source)
    width = max(len(row["layer"]) for row in rows)
    lines = [
        f"{row['layer']:<{width}}  {row['dead']:>4} of {row['filters']:<4} dead  ({row['dead_share']:.1%}), "
        f"alive at {row['mean_firing']:.1%} of places (n = {n} images)"
        for row in rows
    ]
    facts = {"n": n, "images": examples.source, "layers": rows}
    return Inspection({"dead": figure}, facts, lines, {"layers": pd.DataFrame(rows), "filters": units})


def _drawn(layers: list[Firing], n: int, source: str):
    figure = new_figure(6.4, 1.1 + 0.3 * len(layers))
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(layers))
    dead = [100 * float((layer.share == 0).mean()) for layer in layers]
    left.barh(place, dead, color=PALETTE[2], height=0.6)
    for y, (value, layer) in enumerate(zip(dead, layers, strict=True)):
        words = f"{(layer.share == 0).sum()} of {len(layer.share)}"
        left.annotate(words, (value, y), (3, 0), textcoords="offset points", va="center", fontsize=7)
    left.set_yticks(place, [layer.layer for layer in layers])
    left.invert_yaxis()
    left.set_xlim(0, max(5.0, 1.35 * max(dead)))
    left.set_xlabel("dead filters (%)")
    for y, layer in enumerate(layers):
        low, middle, high = 100 * np.percentile(layer.share, [5, 50, 95])
        right.plot([low, high], [y, y], color=PALETTE[5], linewidth=4, solid_capstyle="butt")
        right.plot(middle, y, "o", color=PALETTE[0], markersize=4)
    right.set_xlim(0, 100)
    right.set_xlabel("places at which a filter is alive (%)\nmedian and 5th to 95th percentile of filters")
    figure.suptitle(f"n = {n} {source}", fontsize=9)
    return figure
