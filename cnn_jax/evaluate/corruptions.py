"""Corruptions of images, five severities each: how a network fares where images are worse than those it was trained on.

Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
section 4.1. `SEVERITIES` has the constants of their CIFAR-10-C for images below 64 pixels, those of ImageNet-C for
others; `shift` is ours. Each is a pure function of the images, the numbers of the examples and a constant: the noise of
example i is the same whatever batch it is in. Results are rounded to uint8, where the authors cut off.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

Corrupt = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
_SMALL = 64
_SEED = 0


class Corruption(NamedTuple):
    """One row of the table.

    Attributes:
        apply: `(images uint8 [N, H, W, C], index int [N], constant) -> images`.
        unit: what the constants are.
        small: constants of severities 1 to 5 for images whose shorter side is below 64 pixels.
        large: the same for other images.
    """

    apply: Corrupt
    unit: str
    small: tuple[float, ...]
    large: tuple[float, ...]

    def constants(self, image_size: Sequence[int]) -> tuple[float, ...]:
        """Those of severities 1 to 5 for images of `(height, width)`."""
        return self.small if min(image_size) < _SMALL else self.large


def gaussian_noise(images: np.ndarray, index: np.ndarray, sigma: float) -> np.ndarray:
    """Adds white noise of `sigma` times 255, its key the example's number."""
    return np.asarray(_noisy(jnp.asarray(images), jnp.asarray(index, jnp.uint32), jnp.float32(sigma)))


def gaussian_blur(images: np.ndarray, index: np.ndarray, sigma: float) -> np.ndarray:
    """Convolves each channel with a Gaussian of `sigma` pixels, cut at four of them; border pixels go on outside."""
    from scipy.ndimage import gaussian_filter  # a quarter of a second

    blurred = gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest", truncate=4)
    return _as_uint8(blurred)


def contrast(images: np.ndarray, index: np.ndarray, factor: float) -> np.ndarray:
    """Brings every pixel to `factor` of its distance from its channel's mean over the image."""
    pixels = images.astype(np.float32)
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    return _as_uint8((pixels - mean) * factor + mean)


def jpeg(images: np.ndarray, index: np.ndarray, quality: float) -> np.ndarray:
    """Compresses and decompresses at a JPEG quality, 1 to 95, with Pillow's defaults (chroma 4:2:0)."""
    return np.stack([_through_jpeg(image, int(quality)) for image in images])


def shift(images: np.ndarray, index: np.ndarray, share: float) -> np.ndarray:
    """Moves the image by `share` of each side, up or down and left or right by the example's number.

    Border pixels go on outside. Azulay and Weiss 2019 show how much such moves change.
    """
    height, width = images.shape[1:3]
    rows, columns = np.arange(height), np.arange(width)
    moved = []
    for image, number in zip(images, np.asarray(index).tolist(), strict=True):
        dy, dx = (round(share * side) * (1 if number >> bit & 1 else -1) for bit, side in ((0, height), (1, width)))
        down, right = np.clip(rows - dy, 0, height - 1), np.clip(columns - dx, 0, width - 1)
        moved.append(image[down][:, right])
    return np.stack(moved)


SEVERITIES: dict[str, Corruption] = {
    "gaussian_noise": Corruption(
        gaussian_noise, "standard deviation in 0..1", (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)
    ),
    "gaussian_blur": Corruption(
        gaussian_blur, "standard deviation in pixels", (0.4, 0.6, 0.7, 0.8, 1.0), (1.0, 2.0, 3.0, 4.0, 6.0)
    ),
    "contrast": Corruption(contrast, "share of the contrast", (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "jpeg": Corruption(jpeg, "quality", (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
    "shift": Corruption(
        shift, "share of a side", (1 / 32, 2 / 32, 3 / 32, 4 / 32, 5 / 32), (1 / 32, 2 / 32, 3 / 32, 4 / 32, 5 / 32)
    ),
}
"""Every corruption by name, with the constants of its severities."""


def corrupt(name: str, severity: int, images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Corrupts images.

    Args:
        name: a row of `SEVERITIES`.
        severity: 1 to 5.
        images: uint8 `[N, H, W, C]`.
        index: int `[N]`, the examples' numbers in their split: what random corruptions draw from.

    Returns:
        uint8 `[N, H, W, C]`.
    """
    row = SEVERITIES[name]
    return row.apply(images, index, row.constants(images.shape[1:3])[severity - 1])


@jax.jit
def _noisy(images: jax.Array, index: jax.Array, sigma: jax.Array) -> jax.Array:
    def noise(number: jax.Array) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(jax.random.key(_SEED), number), images.shape[1:])

    pixels = images.astype(jnp.float32) + 255 * sigma * jax.vmap(noise)(index)
    return jnp.clip(jnp.round(pixels), 0, 255).astype(jnp.uint8)


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(stream, "JPEG", quality=quality)
    stream.seek(0)
    with Image.open(stream) as decoded:
        return np.asarray(decoded).reshape(image.shape)


def _as_uint8(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)
