"""Changing the size of feature maps: interpolation, and the upsamplings that segmentation networks use."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from cnn_jax.errors import ConfigError
from cnn_jax.ops.sample import bilinear

_METHODS = ("nearest", "bilinear")


def resize(
    x: Float[Array, "batch height width channels"],
    size: tuple[int, int],
    *,
    method: str = "bilinear",
    antialias: bool = False,
) -> Float[Array, "batch new_height new_width channels"]:
    """Interpolates to another size, pixels seen as squares (half-pixel centres, Torch's align_corners=False).

    The upsampling of the lectures on segmentation; `bilinear` is the tent kernel of Long et al. 2015, section 3.3.

    Args:
        x: feature maps.
        size: `(height, width)` of the result.
        method: "nearest" or "bilinear".
        antialias: widens the bilinear filter when the result is smaller, as Pillow does; else pixels are skipped.

    Raises:
        ConfigError: an unknown method or a size below 1.
    """
    if method not in _METHODS:
        raise ConfigError(65, f"resize method {method!r} is unknown; legal are {' and '.join(_METHODS)}")
    if min(size) < 1:
        raise ConfigError(65, f"resize to {size} is impossible: both sides must be at least 1")
    shape = (x.shape[0], *size, x.shape[3])
    return jax.image.resize(x, shape, method, antialias=antialias)


def upsample(
    x: Num[Array, "batch height width channels"],
    scale: int = 2,
    *,
    method: str = "nearest",
) -> Num[Array, "batch new_height new_width channels"]:
    """Enlarges feature maps by a whole number, as the lectures on segmentation do.

    Args:
        x: feature maps.
        scale: both sides grow by this factor.
        method: "nearest" repeats every value, "bilinear" interpolates, "bed_of_nails" puts every value at the top
            left of its block and zeros elsewhere.

    Raises:
        ConfigError: an unknown method or a scale below 1.
    """
    if scale < 1:
        raise ConfigError(65, f"upsample scale {scale} must be a whole number of at least 1")
    batch, height, width, channels = x.shape
    if method == "bilinear":
        return resize(x, (height * scale, width * scale))
    if method not in ("nearest", "bed_of_nails"):
        raise ConfigError(65, f"upsample method {method!r} is unknown; legal are nearest, bilinear and bed_of_nails")
    blocks = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, height, scale, width, scale, channels))
    if method == "bed_of_nails":
        nail = np.zeros((1, 1, scale, 1, scale, 1), bool)
        nail[0, 0, 0, 0, 0, 0] = True
        blocks = jnp.where(nail, blocks, jnp.zeros_like(blocks))
    return blocks.reshape(batch, height * scale, width * scale, channels)


def bilinear_kernel(scale: int, channels: int) -> np.ndarray:
    """The kernel with which a transposed convolution of stride `scale` interpolates (Long et al. 2015, section 3.3).

    Args:
        scale: the factor of enlargement.
        channels: each is enlarged by itself.

    Returns:
        float32 `[K, K, channels, channels]`, zero between channels, K = 2 scale - scale % 2.
    """
    size = 2 * scale - scale % 2
    centre = (size - 1) / 2
    line = 1 - np.abs(np.arange(size) - centre) / scale
    kernel = np.zeros((size, size, channels, channels), np.float32)
    kernel[:, :, range(channels), range(channels)] = np.outer(line, line)[:, :, None]
    return kernel


def affine(
    image: Float[Array, "height width channels"],
    matrix: Float[Array, "2 2"],
    offset: Float[Array, 2],
    *,
    outside: Literal["zeros", "edge"],
) -> Float[Array, "height width channels"]:
    """Bilinear samples of `image`: output pixel p is read at `matrix @ p + offset`, in pixels, rows first.

    Jaderberg et al. 2015, Spatial Transformer Networks, eq. 1 and 5.

    Args:
        image: the image.
        matrix: from output to input coordinates.
        offset: added after the matrix.
        outside: what is read beyond the border: 0, or the nearest border pixel.
    """
    height, width, _ = image.shape
    rows, columns = jnp.meshgrid(
        jnp.arange(height, dtype=jnp.float32), jnp.arange(width, dtype=jnp.float32), indexing="ij"
    )
    at = [matrix[i, 0] * rows + matrix[i, 1] * columns + offset[i] for i in range(2)]
    return bilinear(image, at[0], at[1], outside=outside)
