"""`responses`: how strongly each layer responds (He et al. 2015, "Deep Residual Learning", section 4.2, figure 7).

The standard deviation, over images, places and maps, of what a convolution gives after its batch norm and before the
addition and the non-linearity. Residual networks respond weaker than plain ones, and weaker the more layers they have.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.errors import ConfigError
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.calls import Call, has_kernel, layer_calls
from cnn_jax.inspect.examples import choose
from cnn_jax.inspect.network import Network, Subject, as_network, batches
from cnn_jax.plotting import MARKERS, PALETTE, new_figure, style

EXAMPLES = 500


class Response(NamedTuple):
    """One layer with weights: its name, the mean of its response and its standard deviation."""

    layer: str
    mean: float
    std: float


def responses(subject: Subject, images: Any) -> list[Response]:
    """The response of every convolution and every fully connected layer, in the order of the network.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
    """
    network = as_network(subject)
    names: list[str] = []

    def moments(variables, x):
        found = weighted(network, layer_calls(network, variables, x))
        names[:] = [name for name, _ in found]
        return [(value.mean(), value.var()) for _, value in found]

    compiled, parts, sizes = jax.jit(moments), [], []
    for batch in batches(images):
        parts.append(np.asarray(compiled(network.variables, network.inputs(batch)), np.float64))
        sizes.append(len(batch))
    if not names:
        return []
    # Moments of batches put together: the variance of all is that within batches and that between their means.
    mean, variance = np.moveaxis(np.stack(parts), -1, 0)
    weight = np.array(sizes, np.float64)[:, None] / sum(sizes)
    centre = (weight * mean).sum(0)
    spread = np.sqrt((weight * (variance + (mean - centre) ** 2)).sum(0))
    return [Response(*row) for row in zip(names, centre.tolist(), spread.tolist(), strict=True)]


def weighted(network: Network, calls: list[Call]) -> list[tuple[str, jax.Array]]:
    """Names and responses of layers with weights; of a layer with a norm behind it, what the norm gives."""
    found = []
    for i, call in enumerate(calls):
        if has_kernel(network, call):
            after = calls[i + 1] if i + 1 < len(calls) else None
            normed = after is not None and after.taken is call.given and "Norm" in type(after.module).__name__
            found.append((call.name, after.given if after is not None and normed else call.given))
    return found


def inspect(request: Request) -> Inspection:
    """Standard deviations in the order of the layers, and by size, as in the paper's figure.

    Raises:
        ConfigError: a network without weights.
        DataError: data that is missing or broken.
    """
    import pandas as pd

    network = as_network(request.run)
    examples = choose(request, EXAMPLES)
    found = responses(network, examples.image)
    if not found:
        raise ConfigError(237, f"{type(network.model).__name__} has no layer with weights to respond")
    n = len(examples.image)
    width = max(len(row.layer) for row in found)
    lines = [f"{row.layer:<{width}}  std {row.std:8.4f}  mean {row.mean:8.4f}" for row in found]
    with style():
        figure = _drawn(found, f"n = {n} {examples.source}", request.config.model.name)
    facts = {"n": n, "images": examples.source, "layers": [row._asdict() for row in found]}
    return Inspection({"responses": figure}, facts, lines, {"responses": pd.DataFrame(found)})


def _drawn(found: list[Response], said: str, model: str):
    figure = new_figure(6.4, 4.4)
    above, below = figure.subplots(2, 1)
    std = np.array([row.std for row in found])
    place = np.arange(1, len(std) + 1)
    for axes, values, words in (
        (above, std, "layer, in the order of the network"),
        (below, np.sort(std)[::-1], "layer, by size"),
    ):
        axes.plot(place, values, marker=MARKERS[0], markersize=3, color=PALETTE[1], linewidth=1, label=model)
        axes.set_ylim(0)
        axes.set_xlabel(words)
        axes.set_ylabel("standard deviation")
    if len(found) <= 24:
        above.set_xticks(place, [row.layer for row in found], rotation=30, ha="right", fontsize=7)
    above.legend()
    above.set_title(f"Layers after their norm, before their activation; {said}", fontsize=9)
    return figure
