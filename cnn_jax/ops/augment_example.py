"""What augmentations act on: an image, or an image with its mask and boxes.

Images are uint8 in 0..255 or floats. Where a value is interpolated, added or blended, uint8 is rounded and clipped;
floats are taken to be scaled to 0..1 and are not clipped, since they may have been normalised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Num

Image = Num[Array, "height width channels"]
Mask = Int[Array, "height width"]
Boxes = Float[Array, "boxes 4"]
Points = Float[Array, "points 2"]
PRNGKey = Key[Array, ""]


class Scene(NamedTuple):
    """An image with what is known of its places. Every augmentation takes it in place of an image and gives it back.

    Attributes:
        image: `[H, W, C]`.
        mask: integers `[H, W]`, a class or an instance a pixel, 0 for the background; or None. It is moved by nearest
            neighbour, and what comes in from outside is 0.
        boxes: float `[n, 4]`, (ymin, xmin, ymax, xmax) in parts of the image's sides; or None. A moved box is the
            smallest upright one around its moved corners, cut to the image; one of which nothing is left, or that was
            empty, is four zeros.
    """

    image: Image
    mask: Mask | None = None
    boxes: Boxes | None = None


Subject = TypeVar("Subject", Image, Scene)
"""An image or a `Scene`."""

_CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def image_of(subject: Subject) -> Image:
    """The image."""
    return subject.image if isinstance(subject, Scene) else subject


def repaint(subject: Subject, paint: Callable[[Image], Image]) -> Subject:
    """Changes the image's values where they are; mask and boxes stay."""
    return subject._replace(image=paint(subject.image)) if isinstance(subject, Scene) else paint(subject)


def move(
    subject: Subject,
    *,
    image: Callable[[Image], Image],
    mask: Callable[[Mask], Mask],
    forward: Callable[[Points], Points],
    outline: np.ndarray = _CORNERS,
) -> Subject:
    """Changes where things are.

    Args:
        subject: an image or a scene.
        image: moves the image.
        mask: moves a mask.
        forward: where points `[n, 2]` of the image (row and column in pixels, whole at pixel centres) come to lie.
        outline: float `[m, 2]`, the points of a box that are followed, as shares of its sides: its corners suffice
            where straight lines stay straight.
    """
    if not isinstance(subject, Scene):
        return image(subject)
    height, width = subject.image.shape[:2]
    moved_mask = None if subject.mask is None else mask(subject.mask)
    boxes = None if subject.boxes is None else _move_boxes(subject.boxes, (height, width), forward, outline)
    return Scene(image(subject.image), moved_mask, boxes)


def _move_boxes(boxes: Boxes, size: tuple[int, int], forward: Callable[[Points], Points], outline: np.ndarray) -> Boxes:
    sides = jnp.array(size, boxes.dtype).reshape(1, 1, 2)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    # A pixel's centre lies half a pixel from its edge.
    points = (low + (high - low) * outline[None]) * sides - 0.5
    points = (forward(points.reshape(-1, 2)).reshape(points.shape) + 0.5) / sides
    low, high = jnp.clip(jnp.min(points, axis=1), 0, 1), jnp.clip(jnp.max(points, axis=1), 0, 1)
    there = jnp.all(boxes[:, :2] < boxes[:, 2:], axis=1) & jnp.all(low < high, axis=1)
    return jnp.where(there[:, None], jnp.concatenate([low, high], axis=1), 0.0)


def full_range(image: Image) -> Float[Array, "height width channels"]:
    """The image in float32 with full range 1."""
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image.astype(jnp.float32)


def as_dtype_of(image: Image, values: Float[Array, "height width channels"]) -> Image:
    """`values`, of full range 1, in the dtype and range of `image`."""
    if image.dtype == jnp.uint8:
        return jnp.clip(jnp.round(values * 255), 0, 255).astype(jnp.uint8)
    return values.astype(image.dtype)
