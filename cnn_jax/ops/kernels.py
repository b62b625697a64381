"""The fixed kernels of the lectures, as data: [h, w] arrays, or one filter for every channel of an image.

Sources: the convolution lectures for edge (Laplacian of eight neighbours), box, Gaussian and sharpening kernels; Sobel
and Feldman 1968 for the derivatives. All are given for cross-correlation (`conv`); only Sobel's differ when flipped.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from cnn_jax.errors import ConfigError

FIXED_KERNELS: dict[str, np.ndarray] = {
    "identity": np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32),
    "edge": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32),
    "box": np.full((3, 3), 1 / 9, np.float32),
    "gaussian": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 16,
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32),
    "sobel_x": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32),
    "sobel_y": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32),
}


def fixed_kernel(name: str, channels: int = 1) -> Float[Array, "h w 1 channels"]:
    """A fixed kernel for `conv(..., feature_group_count=channels)`: each channel is filtered alone.

    Raises:
        ConfigError: unknown name; the message lists the known ones.
    """
    if name not in FIXED_KERNELS:
        raise ConfigError(71, f"no fixed kernel is called {name!r}: use one of {', '.join(FIXED_KERNELS)}")
    kernel = FIXED_KERNELS[name]
    return jnp.asarray(np.repeat(kernel[:, :, None, None], channels, axis=-1))


def box_kernel(size: int) -> np.ndarray:
    """The mean over size x size pixels, [size, size]; sums to one (lectures 000 and 001)."""
    return np.full((size, size), 1 / size**2, np.float32)


def gaussian_kernel(size: int, sigma: float) -> np.ndarray:
    """A Gaussian of standard deviation `sigma` pixels, sampled, [size, size]; sums to one (lectures 000 and 001)."""
    line = np.array([math.exp(-(((i - (size - 1) / 2) / sigma) ** 2) / 2) for i in range(size)])
    return (np.outer(line, line) / line.sum() ** 2).astype(np.float32)
