"""Whole examples: image, label, mask, boxes, depth and, for pairs, the second frame and the optical flow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cnn_jax.data.shapes import draw
from cnn_jax.data.shapes.painting import paint
from cnn_jax.data.shapes.scene import OBJECTS, SPLITS, Motion, Scene, compose, labels, move
from cnn_jax.errors import DataError

MIN_PIXELS = 12  # of 32 x 32: an object that shows less of itself is clutter: no mask, no box
_CHUNK_PIXELS = 64 * 32 * 32  # keeps the arrays of a chunk in the cache


def render(
    indices: Iterable[int], *, split: str, size: int = 32, seed: int = 0, pairs: bool = False
) -> dict[str, np.ndarray]:
    """Renders examples. Each is a pure function of (seed, split, index); `size` changes the resolution alone.

    Args:
        indices: which examples, n integers from 0.
        split: "train", "test", or "tuning" (spare scenes on which the difficulty was chosen).
        size: height and width in pixels, from 8.
        seed: which data set; 0 is the one that everybody compares on.
        pairs: also renders the second frame.

    Returns:
        image: uint8 [n, size, size, 3].
        label: int32 [n], the class of the largest object (a number in `CLASSES`).
        mask: uint8 [n, size, size], class + 1 of the labelled object seen at the pixel, 0 where there is none.
        instance: uint8 [n, size, size], 1 + the object's row in `boxes`, 0 where there is none.
        boxes: float32 [n, 3, 4], ymin, xmin, ymax, xmax of what is seen of each object, in parts of the image; the main
            object first; zeros where there is no object.
        box_label: int32 [n, 3], -1 where there is no object.
        depth: uint16 [n, size, size], millimetres, of the surface seen at the pixel.
        With `pairs` also image2, as image; flow: float32 [n, size, size, 2], pixels right and down that the surface
        seen at a pixel of the first frame moves; visible: uint8 [n, size, size], 1 where the second frame shows it.

    Raises:
        DataError: a split, size, seed or index that cannot be.
    """
    indices = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices))
    if split not in SPLITS:
        raise DataError(70, f"shapes has no split {split!r}: use one of {', '.join(SPLITS)}")
    if indices.ndim != 1 or (indices.size and (indices.dtype.kind not in "iu" or indices.min() < 0)):
        raise DataError(71, "shapes takes a one-dimensional list of integer indices from 0")
    if not (isinstance(size, int) and 8 <= size <= 1024 and isinstance(seed, int) and seed >= 0):
        raise DataError(72, f"shapes takes a size from 8 to 1024 and a seed from 0, not size={size!r}, seed={seed!r}")
    step = max(1, _CHUNK_PIXELS // (size * size))
    chunks = [
        _render(indices[start : start + step].astype(np.int64), split, size, seed, pairs)
        for start in range(0, max(len(indices), 1), step)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _render(indices: np.ndarray, split: str, size: int, seed: int, pairs: bool) -> dict[str, np.ndarray]:
    scene = compose(indices, seed=seed, split=split)
    keys = draw.example_keys(indices, seed=seed, split=SPLITS[split])
    first = paint(scene, size, keys)
    example = {
        "image": first["image"],
        "label": labels(indices, seed=seed, split=split).astype(np.int32),
        **_objects(scene, first["layer"], size),
        "depth": (first["depth"] * np.float32(1000) + np.float32(0.5)).astype(np.uint16),
    }
    if pairs:
        motion = move(indices, seed=seed, split=split)
        second = paint(_moved(scene, motion), size, draw.mix(keys))
        flow = _flow(scene, motion, first["layer"], size)
        visible = _visible(first["layer"], second["layer"], flow)
        example |= {"image2": second["image"], "flow": flow, "visible": visible}
    return example


def _at(values: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """The value of the layer seen at each pixel: [n, LAYERS] and [n, H, W] to [n, H, W]."""
    return values[np.arange(len(layer))[:, None, None], layer]


def _objects(scene: Scene, layer: np.ndarray, size: int) -> dict[str, np.ndarray]:
    seen = _at(scene.instance, layer).astype(np.uint8)
    kind = _at(scene.kind, layer)
    boxes = np.zeros((len(layer), OBJECTS, 4), np.float32)
    box_label = np.full((len(layer), OBJECTS), -1, np.int32)
    instance = np.zeros_like(seen)
    count = np.zeros(len(layer), np.int64)
    for number in range(1, OBJECTS + 1):
        here = seen == number
        enough = here.sum(axis=(1, 2)) >= MIN_PIXELS * (size / 32) ** 2
        rows, columns = here.any(axis=2), here.any(axis=1)
        bottom, right = size - rows[:, ::-1].argmax(1), size - columns[:, ::-1].argmax(1)
        extent = np.stack([rows.argmax(1), columns.argmax(1), bottom, right], axis=1)
        which = np.nonzero(enough)[0]
        boxes[which, count[which]] = (extent[which] / size).astype(np.float32)
        box_label[which, count[which]] = np.where(here, kind, 0).max(axis=(1, 2))[which]
        count[which] += 1
        instance += np.where(here & enough[:, None, None], count[:, None, None], 0).astype(np.uint8)
    mask = np.where(instance > 0, kind + 1, 0).astype(np.uint8)
    return {"mask": mask, "instance": instance, "boxes": boxes, "box_label": box_label}


def _moved(scene: Scene, motion: Motion) -> Scene:
    return scene._replace(
        x=scene.x + motion.shift_x,
        y=scene.y + motion.shift_y,
        angle=scene.angle + motion.turn,
        radius=scene.radius * motion.scale,
    )


def _flow(scene: Scene, motion: Motion, layer: np.ndarray, size: int) -> np.ndarray:
    line = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
    cos, sin = draw.cosine(motion.turn) * motion.scale, draw.sine(motion.turn) * motion.scale
    dx, dy = line[None, None, :] - _at(scene.x, layer), line[None, :, None] - _at(scene.y, layer)
    cos, sin = _at(cos, layer), _at(sin, layer)
    flow_x = dx * cos + dy * sin - dx + _at(motion.shift_x, layer)
    flow_y = dy * cos - dx * sin - dy + _at(motion.shift_y, layer)
    return (np.stack([flow_x, flow_y], axis=-1) * (size / 2)).astype(np.float32)


def _visible(first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """1 where the pixel's surface is inside the second frame and in front there."""
    n, size = first.shape[:2]
    x = np.rint(np.arange(size)[None, None, :] + flow[..., 0]).astype(np.int64)
    y = np.rint(np.arange(size)[None, :, None] + flow[..., 1]).astype(np.int64)
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    there = second[np.arange(n)[:, None, None], np.clip(y, 0, size - 1), np.clip(x, 0, size - 1)]
    return (inside & (there == first)).astype(np.uint8)
