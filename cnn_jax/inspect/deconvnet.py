"""`deconvnet`: what excites feature maps most, projected down to pixels (Zeiler and Fergus 2013, figure 2).

From the strongest activation of a map, all else at its tap set to zero, the deconvnet of section 2.1 goes down: unpool
by the switches of this image, rectify, filter with the transposed kernels. These are the adjoints of pooling and
convolution, so the whole of it is the backward pass of the network with another rule at its ReLUs
(`ops.relu_rule("deconvnet")`), whatever the network: branches and shortcuts add, batch norm scales, average pooling
spreads. Where the paper is silent, the derivative at the image is taken: of local response norm, and of activations
other than ReLU. Reconstructions and patches are cut by the exact receptive field of the unit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.errors import ConfigError
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import choose
from cnn_jax.inspect.network import Network, Subject, as_network, batches, compiled_once, find_tap
from cnn_jax.inspect.picture import coloured, mosaic, panels, show_image, signed
from cnn_jax.inspect.window import Box, Window
from cnn_jax.plotting import style

EXAMPLES = 1000
MAPS = 12
"""Feature maps shown, drawn by the seed among those that fire for enough images (the paper: a random subset)."""
TOP = 9


class Top(NamedTuple):
    """The strongest activations of every feature map, at most one an image, strongest first.

    Attributes:
        value: float32 [C, top].
        image: int [C, top], which image.
        place: int [C, top, 2], where on the map, (y, x); zeros of a hidden layer.
    """

    value: np.ndarray
    image: np.ndarray
    place: np.ndarray


def top_activations(subject: Subject, images: Any, tap: str, top: int = TOP) -> Top:
    """The images and places that excite each feature map most.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        tap: its name.
        top: how many for each map; fewer where there are fewer images.

    Raises:
        ConfigError: no such tap.
    """
    network = as_network(subject)
    find_tap(network, np.shape(images)[1:], tap)
    columns = []

    @jax.jit
    def peaks(variables, x):
        values = network.apply(variables, x)[1][tap]
        columns[:] = [values.shape[2] if values.ndim == 4 else 1]
        flat = values.reshape(values.shape[0], -1, values.shape[-1])
        return flat.max(axis=1), flat.argmax(axis=1)

    found = [peaks(network.variables, network.inputs(batch)) for batch in batches(images)]
    value, at = (np.concatenate([np.asarray(part[i]) for part in found]).T for i in (0, 1))
    best = np.argsort(-value, axis=1, kind="stable")[:, :top]
    at = np.take_along_axis(at, best, 1)
    return Top(np.take_along_axis(value, best, 1), best, np.stack([at // columns[0], at % columns[0]], axis=-1))


def reconstruct(subject: Subject, images: Any, tap: str, channels: Any, places: Any) -> np.ndarray:
    """Projects one activation of each image down to its pixels.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        tap: its name.
        channels: int [N], the feature map of each image, or the unit of a hidden layer.
        places: int [N, 2], where on the map; of no account for a hidden layer.

    Returns:
        float32 [N, H, W, C], in the units of the network's input.

    Raises:
        ConfigError: no such tap.
    """
    network = as_network(subject)
    find_tap(network, np.shape(images)[1:], tap)

    def project(variables, x, channel, place):
        with ops.relu_rule("deconvnet"):
            values, down = jax.vjp(lambda x: network.apply(variables, x)[1][tap], x)
        row = jnp.arange(values.shape[0])
        at = (row, place[:, 0], place[:, 1], channel) if values.ndim == 4 else (row, channel)
        return down(jnp.zeros_like(values).at[at].set(values[at]))[0]

    compiled = compiled_once(project)
    channels, places = np.asarray(channels, np.int32), np.asarray(places, np.int32)
    parts = zip(*(batches(part, TOP * 4) for part in (images, channels, places)), strict=True)
    return np.concatenate([np.asarray(compiled(network.variables, network.inputs(x), c, p)) for x, c, p in parts])


def cut(images: np.ndarray, boxes: list[Box], full: list[Box], fill: float) -> np.ndarray:
    """Patches of one size: each image's box, at its place in its theoretical field.

    Args:
        images: [N, H, W, C].
        boxes: of pixels that reach the unit, one an image.
        full: the theoretical fields, which may go on beyond the image.
        fill: what stands where no pixel reaches the unit.

    Returns:
        [N, h, w, C], the size of the largest theoretical field, or of the image where that is smaller.
    """
    size = [min(max(hi - lo + 1 for lo, hi in (f[axis] for f in full)), images.shape[1 + axis]) for axis in (0, 1)]
    patches = np.full((len(images), *size, images.shape[-1]), fill, images.dtype)
    for patch, image, box, field in zip(patches, images, boxes, full, strict=True):
        inside, outside = [], []
        for axis in (0, 1):
            lo, hi = box[axis]
            # A field as large as the image or larger is the image itself, at its own place.
            wide = field[axis][1] - field[axis][0] + 1 > size[axis]
            start = lo if wide else lo - field[axis][0]
            inside.append(slice(start, start + hi - lo + 1))
            outside.append(slice(lo, hi + 1))
        patch[tuple(inside)] = image[tuple(outside)]
    return patches


def inspect(request: Request) -> Inspection:
    """Top-9 reconstructions of feature maps, and beside them the patches they came from.

    Raises:
        ConfigError: no such tap, or no map of it that fires.
        DataError: data or a file that is missing or broken.
    """
    import pandas as pd

    network, shape = as_network(request.run), request.run.spec.image_shape
    tap = find_tap(network, shape, request.tap, maps=request.tap is None)
    examples = choose(request, EXAMPLES)
    found = top_activations(network, examples.image, tap)
    maps = _drawn_by_seed(found, request.config.seed, tap)
    index, place = found.image[maps].reshape(-1), found.place[maps].reshape(-1, 2)
    channel = np.repeat(maps, found.image.shape[1])
    pictures = examples.image[index]
    made = reconstruct(network, pictures, tap, channel, place)
    window = Window(network, shape)
    where = [tuple(int(v) for v in p) for p in place]
    boxes, full = ([window.box(tap, p, clip=clip) for p in where] for clip in (True, False))
    fired = found.value[maps].reshape(-1) > 0
    # What never fired has nothing to reconstruct, and no patch that excites it.
    made[~fired] = 0
    reconstructions = signed(cut(made, boxes, full, 0))
    patches = cut(pictures, boxes, full, 255)
    patches[~fired] = 255
    with style():
        figure = _drawn(maps, reconstructions, patches, network, tap, examples)
    table = pd.DataFrame(
        {
            "map": channel,
            "rank": np.tile(np.arange(1, found.image.shape[1] + 1), len(maps)),
            "activation": found.value[maps].reshape(-1),
            "image": [examples.name[i] for i in index],
            "y": place[:, 0],
            "x": place[:, 1],
            **{name: [box[a][b] for box in boxes] for name, a, b in _CORNERS},
        }
    )
    facts = {
        "tap": tap,
        "maps": maps.tolist(),
        "n": len(examples.image),
        "images": examples.source,
        "patch": list(patches.shape[1:3]),
    }
    lines = [
        f"{tap}: {len(maps)} of {len(found.value)} feature maps, their {found.image.shape[1]} strongest of "
        f"n = {len(examples.image)} images; patches of {patches.shape[1]}x{patches.shape[2]} pixels"
    ]
    return Inspection({"deconvnet": figure}, facts, lines, {"top": table, "reconstructions": made})


_CORNERS = (("top", 0, 0), ("bottom", 0, 1), ("left", 1, 0), ("right", 1, 1))


def strongest_of(network: Network, images: Any, tap: str) -> tuple[np.ndarray, np.ndarray]:
    """Of each image by itself, the feature map with the strongest activation, and where: int [N] and [N, 2]."""
    forward = jax.jit(lambda variables, x: network.apply(variables, x)[1][tap])
    values = np.asarray(forward(network.variables, network.inputs(images)))
    n, height, width, maps = values.shape
    at = values.reshape(n, -1).argmax(1)
    y, x, channel = np.unravel_index(at, (height, width, maps))
    return channel, np.stack([y, x], axis=-1)


def _drawn_by_seed(found: Top, seed: int, tap: str) -> np.ndarray:
    fires = np.flatnonzero((found.value > 0).all(axis=1))
    if not len(fires):
        fires = np.flatnonzero((found.value > 0).any(axis=1))
    if not len(fires):
        raise ConfigError(239, f"no map of {tap} fires for any of these images: use another --tap or more images")
    return np.sort(np.random.default_rng(seed).permutation(fires)[:MAPS])


def _drawn(maps, reconstructions, patches, network, tap, examples):
    across = 3
    figure, axes = panels(-(-len(maps) // across), 2 * across, 1.3, top=0.6)
    for axis in axes.flat:
        axis.set_axis_off()
    each = len(patches) // len(maps)
    times = -(-16 // patches.shape[1])  # gaps stay thin beside small patches
    for i, channel in enumerate(maps):
        left, right = axes[i // across, 2 * (i % across)], axes[i // across, 2 * (i % across) + 1]
        for axis, images, title in ((left, reconstructions, f"map {channel}"), (right, patches, "patches")):
            axis.set_axis_on()
            tiles = coloured(images[i * each : (i + 1) * each]).repeat(times, 1).repeat(times, 2)
            show_image(axis, mosaic(tiles, 3, gap=max(1, tiles.shape[1] // 16)), title)
    figure.suptitle(
        f"{tap}: top {each} activations of {len(maps)} feature maps, projected to pixels;\n"
        f"n = {len(examples.image)} {examples.source}",
        fontsize=9,
    )
    return figure
