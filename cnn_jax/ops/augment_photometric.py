"""Random changes of values `(key, image [H, W, C]) -> image` of the same shape and dtype; use them under `vmap`.

Each takes a `Scene` as well, whose mask and boxes stay as they are. A strength of zero gives back what came in. Grey
images have no colours: `random_saturation`, `random_hue` and `pca_colour` leave them alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cnn_jax.ops.augment_example import Image, PRNGKey, Subject, as_dtype_of, full_range, image_of, repaint

# ITU-R BT.601, the weights of Pillow's conversion to grey.
_LUMA = (0.299, 0.587, 0.114)
# YIQ of NTSC: brightness, and two components of colour that hue turns into each other.
_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])


def random_brightness(key: PRNGKey, subject: Subject, *, delta: float = 0.2) -> Subject:
    """Adds one number, uniform in +-`delta` of the full range (0 to 1), to all pixels."""
    shift = jax.random.uniform(key, (), minval=-delta, maxval=delta)
    return repaint(subject, lambda image: as_dtype_of(image, full_range(image) + shift))


def random_contrast(key: PRNGKey, subject: Subject, *, delta: float = 0.2) -> Subject:
    """Scales the distance to each channel's mean by a number uniform in 1 +- `delta`, 0 to 1."""
    factor = _factor(key, delta)

    def paint(image: Image) -> Image:
        values = full_range(image)
        mean = jnp.mean(values, axis=(0, 1), keepdims=True)
        return as_dtype_of(image, mean + factor * (values - mean))

    return repaint(subject, paint)


def random_saturation(key: PRNGKey, subject: Subject, *, delta: float = 0.2) -> Subject:
    """Scales the distance to the grey image by a number uniform in 1 +- `delta`, 0 to 1."""
    factor = _factor(key, delta)

    def paint(image: Image) -> Image:
        values = full_range(image)
        grey = _weighted(values, np.array(_LUMA, np.float32).reshape(3, 1, 1, 1))
        return as_dtype_of(image, grey + factor * (values - grey))

    return repaint(subject, paint) if _coloured(subject) else subject


def random_hue(key: PRNGKey, subject: Subject, *, delta: float = 0.05) -> Subject:
    """Turns the colours of YIQ by an angle uniform in +-`delta` of a full turn, 0 to 0.5; brightness stays."""
    angle = jax.random.uniform(key, (), minval=-delta, maxval=delta) * (2 * math.pi)
    # Rotation of (I, Q) written in RGB: kept + cos kept of the colour + sin of its quarter turn.
    back = np.linalg.inv(_YIQ)
    colour = back[:, 1:] @ _YIQ[1:]
    quarter = back[:, 1:] @ np.array([[0, -1], [1, 0]]) @ _YIQ[1:]
    change = (jnp.cos(angle) - 1) * colour.astype(np.float32) + jnp.sin(angle) * quarter.astype(np.float32)

    def paint(image: Image) -> Image:
        values = full_range(image)
        return as_dtype_of(image, values + _weighted(values, change.T.reshape(3, 1, 1, 3)))

    return repaint(subject, paint) if _coloured(subject) else subject


def pca_colour(
    key: PRNGKey, subject: Subject, *, covariance: Sequence[Sequence[float]] | np.ndarray, sigma: float = 0.1
) -> Subject:
    """Adds to all pixels a random multiple of the colours' principal components (Krizhevsky et al. 2012, section 4.1).

    What is added is `sum_i a_i s_i p_i`, a_i normal with mean 0, p_i an eigenvector of the covariance of RGB values and
    s_i the root of its eigenvalue, so that the covariance of what is added is `sigma^2` times that of the pixels. The
    paper writes the eigenvalue itself, which has not the unit of a pixel; its author's code has standard deviations.

    Args:
        key: one PRNG key.
        subject: the image or scene.
        covariance: 3x3, of the pixels of the training images in 0..1; known while tracing.
        sigma: standard deviation of `a_i`, at least 0.
    """
    if not _coloured(subject):
        return subject
    eigenvalues, eigenvectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    # An eigenvector's sign is free; LAPACKs differ in it, runs should not.
    largest = eigenvectors[np.abs(eigenvectors).argmax(axis=0), np.arange(3)]
    directions = (eigenvectors * np.sign(largest) * np.sqrt(np.maximum(eigenvalues, 0))).astype(np.float32)
    shift = _weighted(sigma * jax.random.normal(key, (1, 1, 3)), directions.T.reshape(3, 1, 1, 3))
    return repaint(subject, lambda image: as_dtype_of(image, full_range(image) + shift))


def cutout(key: PRNGKey, subject: Subject, *, size: int = 8) -> Subject:
    """Blackens a square whose centre lies anywhere in the image (DeVries and Taylor 2017): parts may fall outside.

    Args:
        key: one PRNG key.
        subject: the image or scene; mask and boxes still say what is behind the square.
        size: side of the square in pixels, at least 1.
    """
    height, width, _ = image_of(subject).shape
    centre = jnp.floor(jax.random.uniform(key, (2,)) * np.array([height, width], np.float32)).astype(jnp.int32)
    rows, columns = jnp.arange(height) - centre[0] + size // 2, jnp.arange(width) - centre[1] + size // 2
    inside = ((rows >= 0) & (rows < size))[:, None, None] & ((columns >= 0) & (columns < size))[None, :, None]
    return repaint(subject, lambda image: jnp.where(inside, jnp.zeros_like(image), image))


def _factor(key: PRNGKey, delta: float) -> Float[Array, ""]:
    return jax.random.uniform(key, (), minval=1 - delta, maxval=1 + delta)


def _weighted(
    values: Float[Array, "height width 3"], weights: Float[Array, "3 1 1 outputs"] | np.ndarray
) -> Float[Array, "height width outputs"]:
    """Weighted sums of the channels.

    Channel by channel: as a product of matrices it would be rounded to bfloat16 on a TPU. As `jnp.sum`
    over three values XLA:CPU takes five times as long, and fused with an addition it mixes up rows beyond 2^15 numbers
    (jaxlib 0.10.2, `__ynn_fusion`).
    """
    red, green, blue = (weights[c] * values[..., c : c + 1] for c in range(3))
    return red + green + blue


def _coloured(subject: Subject) -> bool:
    return image_of(subject).shape[-1] == 3
