"""Protocols: which views of an image a network sees, and how much each counts. Pure functions of uint8 batches.

A view is a crop, a mirror image or another size of the image. `Protocol.views(images)` returns them as groups of equal
size, `[(uint8 [V, N, h, w, C], weights [V]), ...]`; the weights of all groups add up to 1, and the answer is the
weighted mean of the views' probabilities.

| protocol | views | source |
|---|---|---|
| `single` | the centre crop; the image where it has the crop's size | |
| `flip` | it and its mirror image | |
| `views` | both, moved by (0, 0) with half the weight, by one pixel up left and down right with a quarter each | Jordan 2024 (CIFAR-10 speedrun), section 3.5 |
| `ten_crop` | the four corners and the centre, mirrored too | Krizhevsky et al. 2012, section 4.1 |
| `multi_crop` | per scale the squares at both ends and in the middle; of each its corners, its centre and itself; mirrored | Szegedy et al. 2014, section 7 |
| `dense` | the whole image and its mirror image, at every position of the network at once (`dense.py`) | Simonyan and Zisserman 2014, section 3.2 |
| `multi_scale` | `dense`, at several sizes of the image | Simonyan and Zisserman 2014, section 4.2 |

**Sizes.** The crop is `crop`, or else the size of the images that the network was trained on. It must fit into the
images, and for `ten_crop` and `multi_crop` be smaller than they are. A crop of another size than the network's own is
for networks whose parameters do not depend on the size (those that end in global pooling). `dense` and `multi_scale`
see whole images at least as large as the network's own; fully connected layers become convolutions.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.errors import ConfigError
from cnn_jax.evaluate.views import speedrun_views

Size = tuple[int, int]
Views = list[tuple[Any, Any]]
"""Groups of views of one size: uint8 `[V, N, h, w, C]` and the weight of each, `[V]`."""

NAMES = ("single", "flip", "views", "ten_crop", "multi_crop", "dense", "multi_scale")
DENSE = ("dense", "multi_scale")
"""Protocols that see whole images of any size."""
_SCALED = ("multi_crop", "multi_scale")
# Shorter sides of the image for a network that was trained on 224 pixels; for others in proportion.
_SCALES = {"multi_scale": (224, 256, 288), "multi_crop": (256, 288, 320, 352)}


class Protocol(NamedTuple):
    """What is done with an image.

    Attributes:
        name: one of `NAMES`.
        crop: `(height, width)` of the crops; None where whole images are seen.
        scales: shorter sides that the images are brought to; () for the size they have.
    """

    name: str
    crop: Size | None = None
    scales: tuple[int, ...] = ()

    def views(self, images: Any) -> Views:
        """The views of a batch.

        Args:
            images: uint8 `[N, H, W, C]`.
        """
        if self.name in DENSE:
            sizes = [images] if not self.scales else [resized(images, side) for side in self.scales]
            return _weighted([mirrored(image[None]) for image in sizes])
        assert self.crop is not None, "all others see crops"
        if self.name == "multi_crop":
            return _weighted([multi_crop(images, self.crop, self.scales)])
        if self.name == "ten_crop":
            return _weighted([ten_crop(images, self.crop)])
        centre = centre_crop(images, self.crop)
        if self.name == "views":
            return [speedrun_views(centre)]  # there logits are averaged, here probabilities
        return _weighted([mirrored(centre[None]) if self.name == "flip" else centre[None]])

    def count(self, image_size: Size) -> int:
        """How many views of an image of `(height, width)` there are."""
        squares = len(_squares(image_size)) if self.name == "multi_crop" else 1
        per_size = {"single": 1, "views": 6, "ten_crop": 10, "multi_crop": 12 * squares}
        return per_size.get(self.name, 2) * max(1, len(self.scales))

    def sizes(self, image_size: Size) -> list[Size]:
        """`(height, width)` of the views of an image of this size, one a group."""
        if self.crop is not None:
            return [self.crop]
        return [_scaled(image_size, side) for side in self.scales] or [image_size]


def protocol(
    name: str,
    network_size: Size,
    image_size: Size,
    *,
    crop: int | Size | None = None,
    scales: Sequence[int] = (),
) -> Protocol:
    """The protocol called `name` for a network and images, sizes filled in by the rule above.

    Args:
        name: one of `NAMES`.
        network_size: `(height, width)` of the images that the network was trained on.
        image_size: `(height, width)` of the images to be evaluated.
        crop: side of the crops, or `(height, width)`; None for the network's own size.
        scales: shorter sides for `multi_scale` and `multi_crop`; by default those of their papers, in proportion.

    Raises:
        ConfigError: an unknown name, an argument that means nothing to the protocol, or sizes that do not fit.
    """
    if name not in NAMES:
        raise ConfigError(200, f"unknown protocol {name!r}: use one of {', '.join(NAMES)}")
    if scales and name not in _SCALED:
        raise ConfigError(201, f"--scales means nothing to --protocol={name}: it is for {' and '.join(_SCALED)}")
    if name in _SCALED and not scales:
        scales = [round(side * min(network_size) / 224) for side in _SCALES[name]]
    if any(side < 1 for side in scales) or len(set(scales)) < len(scales):
        raise ConfigError(201, f"--scales={','.join(map(str, scales))} must be different numbers of pixels above 0")
    if name in DENSE:
        if crop is not None:
            raise ConfigError(202, f"--crop means nothing to --protocol={name}, which sees whole images")
        return Protocol(name, None, tuple(scales))
    size = (crop, crop) if isinstance(crop, int) else crop or network_size
    room = (min(scales), min(scales)) if name == "multi_crop" else image_size
    what = f"squares of {_written(room)}" if name == "multi_crop" else f"images, which are {_written(room)}"
    if min(size) < 1 or size[0] > room[0] or size[1] > room[1]:
        raise ConfigError(202, f"a crop of {_written(size)} does not fit into the {what}: use a smaller --crop")
    if name in ("ten_crop", "multi_crop") and size == room:
        larger = "larger --scales" if scales else f"--image_size={max(size) + max(1, max(size) // 7)}"
        raise ConfigError(
            203, f"--protocol={name} takes crops smaller than the {what}: use a smaller --crop, or {larger}"
        )  # fmt: skip
    return Protocol(name, size, tuple(scales))


def centre_crop(images: Any, size: Size) -> Any:
    """The middle of `[N, H, W, C]`, `(height, width)`; of an odd rest the larger half is cut off below and right."""
    top, left = (images.shape[1] - size[0]) // 2, (images.shape[2] - size[1]) // 2
    return images[:, top : top + size[0], left : left + size[1]]


def mirrored(views: Any) -> Any:
    """Views `[V, N, h, w, C]` and then each mirrored left and right, `[2V, ...]`."""
    return jnp.concatenate([views, views[:, :, :, ::-1]])


def ten_crop(images: Any, size: Size) -> Any:
    """Top left, top right, bottom left, bottom right, centre, and their mirror images, `[10, N, h, w, C]`.

    Krizhevsky et al. 2012, section 4.1 (crops of 224x224 out of 256x256).
    """
    return mirrored(_five(images, size))


def multi_crop(images: Any, size: Size, scales: Sequence[int]) -> Any:
    """GoogLeNet's crops: 4 scales x 3 squares x 6 x 2 = 144 of an image that is not square, 48 of a square one.

    Szegedy et al. 2014, section 7: the shorter side is brought to each scale; the squares at both ends and in the
    middle are taken; of each square the four corners, the centre, and the square itself brought to the crop's size;
    and all of that mirrored.

    Args:
        images: uint8 `[N, H, W, C]`.
        size: `(height, width)` of the crops.
        scales: shorter sides.

    Returns:
        uint8 `[V, N, h, w, C]`.
    """
    crops = []
    for side in scales:
        scaled = resized(images, side)
        for top, left in _squares(scaled.shape[1:3]):
            square = scaled[:, top : top + side, left : left + side]
            crops.append(_five(square, size))
            crops.append(_as_uint8(ops.resize(square.astype(jnp.float32), size, antialias=True))[None])
    return mirrored(jnp.concatenate(crops))


def resized(images: Any, side: int) -> Any:
    """Images whose shorter side is `side`: bilinear, smoothed where they shrink as Pillow does, rounded to uint8."""
    size = _scaled(images.shape[1:3], side)
    if size == tuple(images.shape[1:3]):
        return images
    return _as_uint8(ops.resize(jnp.asarray(images, jnp.float32), size, antialias=True))


def _five(images: Any, size: Size) -> Any:
    below, right = images.shape[1] - size[0], images.shape[2] - size[1]
    places = ((0, 0), (0, right), (below, 0), (below, right), (below // 2, right // 2))
    return jnp.stack([images[:, y : y + size[0], x : x + size[1]] for y, x in places])


def _squares(size: Sequence[int]) -> list[Size]:
    """Where the squares begin: both ends and the middle of the longer side; one square where both are as long."""
    height, width = size
    rest = max(height, width) - min(height, width)
    starts = sorted({0, rest // 2, rest})
    return [(start, 0) if height > width else (0, start) for start in starts]


def _scaled(size: Sequence[int], side: int) -> Size:
    height, width = size
    shorter = min(height, width)
    return max(side, round(height * side / shorter)), max(side, round(width * side / shorter))


def _as_uint8(images: Any) -> Any:
    return jnp.clip(jnp.round(images), 0, 255).astype(jnp.uint8)


def _weighted(groups: list[Any]) -> Views:
    """Every view counts as much as every other."""
    total = sum(len(group) for group in groups)
    return [(group, np.full(len(group), 1 / total)) for group in groups]


def _written(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
