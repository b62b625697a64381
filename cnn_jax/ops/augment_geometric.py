"""Random movements `(key, image [H, W, C]) -> image` of the same shape and dtype; use them under `vmap`.

Each takes a `Scene` as well and moves its mask and boxes along. A strength of zero gives back what came in.
"""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from cnn_jax.errors import ConfigError
from cnn_jax.ops.augment_example import Points, PRNGKey, Subject, as_dtype_of, full_range, image_of, move
from cnn_jax.ops.sample import bilinear, nearest

Outside = Literal["zeros", "edge"]

# Between these points of a box's side an elastic deformation is nearly straight.
_SIDE = np.linspace(0, 1, 9, dtype=np.float32)
_OUTLINE = np.array([p for s in _SIDE for p in ((0, s), (1, s), (s, 0), (s, 1))], np.float32)
# Each step shrinks the error by the slope of the displacement, which is below 1/2 unless the picture folds.
_INVERSION_STEPS = 8


def random_flip(key: PRNGKey, subject: Subject, *, probability: float = 0.5) -> Subject:
    """Mirrors left and right (Krizhevsky et al. 2012, section 4.1).

    Args:
        key: one PRNG key.
        subject: the image or scene.
        probability: of mirroring, 0 to 1.
    """
    return _mirror(subject, jax.random.bernoulli(key, probability))


def alternating_flip(key: PRNGKey, subject: Subject, *, epoch: Int[Array, ""]) -> Subject:
    """Mirrors every second time: an image shown mirrored in one epoch is not in the next (Jordan 2024, section 3.6).

    Args:
        key: the key of the example, *the same in every epoch*; it decides whether the first epoch mirrors.
        subject: the image or scene.
        epoch: how often the example has been seen.
    """
    return _mirror(subject, jax.random.bernoulli(key) ^ (epoch % 2 == 1))


def pad_crop(key: PRNGKey, subject: Subject, *, pad: int = 4, mode: str = "zeros") -> Subject:
    """Pads every side by `pad` pixels and cuts the image's size out at a random place (He et al. 2015, section 4.2).

    Args:
        key: one PRNG key.
        subject: the image or scene.
        pad: pixels, at least 0; all `(2 pad + 1)^2` places are equally likely.
        mode: what stands outside: black, or the image mirrored without its border pixel.

    Raises:
        ConfigError: an unknown mode, or a mirror wider than the image.
    """
    height, width, _ = image_of(subject).shape
    if mode not in ("zeros", "reflect"):
        raise ConfigError(64, f"pad_crop mode {mode!r} is unknown; legal are zeros and reflect")
    if pad < 0 or (mode == "reflect" and pad >= min(height, width)):
        raise ConfigError(
            64, f"pad_crop pad={pad} does not suit an image of {width}x{height}: 0 to {min(height, width) - 1}"
        )
    top, left = jax.random.randint(key, (2,), 0, 2 * pad + 1)

    def cut(array: Array) -> Array:
        widths = ((pad, pad), (pad, pad), (0, 0))[: array.ndim]
        padded = jnp.pad(array, widths, mode="constant" if mode == "zeros" else mode)
        # 128 images of 32x32x3 in a loop on XLA:CPU: 0.05 ms this way, 0.5 with take, 0.9 as a product with one-hots.
        return lax.dynamic_slice(padded, (top, left, 0)[: array.ndim], array.shape)

    return move(subject, image=cut, mask=cut, forward=lambda p: p + pad - _point(top, left))


def random_resized_crop(
    key: PRNGKey,
    subject: Subject,
    *,
    area: float = 0.08,
    aspect: float = 4 / 3,
) -> Subject:
    """Cuts a random rectangle out and brings it back to the image's size (Szegedy et al. 2014, section 6), bilinear.

    Args:
        key: one PRNG key.
        subject: the image or scene.
        area: smallest share of the image's area, above 0 to 1; the share is uniform between it and 1.
        aspect: greatest distortion, at least 1; the rectangle's ratio of width to height, as a multiple of the
            image's, is uniform in its logarithm between `1 / aspect` and `aspect`. A side that would exceed the image
            is cut to it.
    """
    height, width, _ = image_of(subject).shape
    draws = jax.random.uniform(key, (4,))
    share = area + (1 - area) * draws[0]
    ratio = jnp.exp((2 * draws[1] - 1) * math.log(aspect))
    scale = jnp.minimum(jnp.sqrt(share / ratio), 1.0), jnp.minimum(jnp.sqrt(share * ratio), 1.0)
    # Pixel centres: the first output pixel's centre lies half a (scaled) pixel inside the rectangle.
    top = draws[2] * (1 - scale[0]) * height + 0.5 * scale[0] - 0.5
    left = draws[3] * (1 - scale[1]) * width + 0.5 * scale[1] - 0.5
    return _resample(subject, ((scale[0], 0.0), (0.0, scale[1])), (top, left), "edge")


def random_rotation(key: PRNGKey, subject: Subject, *, degrees: float = 15.0, outside: Outside = "zeros") -> Subject:
    """Rotates about the centre, bilinear.

    Args:
        key: one PRNG key.
        subject: the image or scene.
        degrees: the angle is uniform in +-`degrees`, 0 to 180.
        outside: what is seen beyond the image: black, or its nearest border pixel.
    """
    angle = _symmetric(key, degrees * math.pi / 180)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return _about_centre(subject, ((cos, sin), (-sin, cos)), outside)


def random_scale(key: PRNGKey, subject: Subject, *, factor: float = 1.25, outside: Outside = "zeros") -> Subject:
    """Enlarges or shrinks about the centre, both sides alike, bilinear; the frame keeps its size.

    Args:
        key: one PRNG key.
        subject: the image or scene.
        factor: at least 1; the magnification is uniform in its logarithm between `1 / factor` and `factor`.
        outside: what is seen beyond the image: black, or its nearest border pixel.
    """
    shrink = jnp.exp(_symmetric(key, math.log(factor)))
    return _about_centre(subject, ((shrink, 0.0), (0.0, shrink)), outside)


def random_translation(key: PRNGKey, subject: Subject, *, share: float = 0.1, outside: Outside = "zeros") -> Subject:
    """Moves by a fraction of the image, not of whole pixels, bilinear.

    Args:
        key: one PRNG key.
        subject: the image or scene.
        share: each move is uniform in +-`share` of its side, 0 to 1.
        outside: what is seen beyond the image: black, or its nearest border pixel.
    """
    height, width, _ = image_of(subject).shape
    draws = jax.random.uniform(key, (2,), minval=-share, maxval=share)
    return _resample(subject, ((1.0, 0.0), (0.0, 1.0)), (draws[0] * height, draws[1] * width), outside)


def elastic(
    key: PRNGKey, subject: Subject, *, alpha: float = 34.0, sigma: float = 4.0, outside: Outside = "zeros"
) -> Subject:
    """Displaces every pixel by smoothed noise, bilinear (Simard et al. 2003, section 2).

    Each component of the displacement is `alpha` times white noise, uniform in +-1, convolved with a Gaussian; without
    the paper's optional division by its norm. The defaults are the paper's for digits of 29x29.

    Args:
        key: one PRNG key.
        subject: the image or scene. The moved outline of a box is followed at 32 points.
        alpha: strength, at least 0: a component's standard deviation is about `alpha / (6 sigma)` pixels.
        sigma: standard deviation of the Gaussian in pixels, above 0: the larger, the stiffer.
        outside: what is seen beyond the image: black, or its nearest border pixel.
    """
    height, width, _ = image_of(subject).shape
    noise = jax.random.uniform(key, (2, height, width), minval=-1, maxval=1)
    # Smoothing as two products with constant matrices: no convolution in the loop.
    smooth = jnp.einsum(
        "ih,chw,jw->cij", _gaussian(height, sigma), noise, _gaussian(width, sigma), precision=lax.Precision.HIGHEST
    )
    displacement = alpha * jnp.moveaxis(smooth, 0, -1)
    rows, columns = _grid(height, width)
    rows, columns = rows + displacement[..., 0], columns + displacement[..., 1]

    def forward(points: Points) -> Points:
        # An output pixel p shows what lies at p + d(p); where a point q is shown solves p = q - d(p).
        shown = points
        for _ in range(_INVERSION_STEPS):
            shown = points - bilinear(displacement, shown[:, 0], shown[:, 1], outside="edge")
        return shown

    return move(
        subject,
        image=lambda x: as_dtype_of(x, bilinear(full_range(x), rows, columns, outside=outside)),
        mask=lambda x: nearest(x, rows, columns),
        forward=forward,
        outline=_OUTLINE,
    )


def _mirror(subject: Subject, mirrored: Bool[Array, ""]) -> Subject:
    def flip(array: Array) -> Array:
        return jnp.where(mirrored, array[:, ::-1], array)

    width = image_of(subject).shape[1]
    sign, first = jnp.where(mirrored, -1.0, 1.0), jnp.where(mirrored, width - 1.0, 0.0)
    return move(
        subject, image=flip, mask=flip, forward=lambda p: p * _point(jnp.ones_like(sign), sign) + _point(0.0, first)
    )


def _about_centre(subject: Subject, matrix: tuple, outside: Outside) -> Subject:
    height, width, _ = image_of(subject).shape
    y, x = (height - 1) / 2, (width - 1) / 2
    (a, b), (c, d) = matrix
    return _resample(subject, matrix, (y - a * y - b * x, x - c * y - d * x), outside)


def _resample(subject: Subject, matrix: tuple, offset: tuple, outside: Outside) -> Subject:
    """Output pixel p shows what lies at `matrix p + offset`, rows first.

    Written out number by number: a product of such small matrices would be rounded to bfloat16 on a TPU.
    """
    height, width, _ = image_of(subject).shape
    (a, b), (c, d) = matrix
    y, x = _grid(height, width)
    rows, columns = a * y + b * x + offset[0], c * y + d * x + offset[1]

    def forward(points: Points) -> Points:
        y, x = points[:, 0] - offset[0], points[:, 1] - offset[1]
        determinant = a * d - b * c
        return jnp.stack([(d * y - b * x) / determinant, (a * x - c * y) / determinant], axis=-1)

    return move(
        subject,
        image=lambda image: as_dtype_of(image, bilinear(full_range(image), rows, columns, outside=outside)),
        mask=lambda mask: nearest(mask, rows, columns),
        forward=forward,
    )


def _grid(height: int, width: int) -> tuple[Float[Array, "height width"], Float[Array, "height width"]]:
    shape = (height, width)
    return lax.broadcasted_iota(jnp.float32, shape, 0), lax.broadcasted_iota(jnp.float32, shape, 1)


def _gaussian(size: int, sigma: float) -> np.ndarray:
    """Float32 `[size, size]`: convolution of a line with a Gaussian cut at four standard deviations, zero outside."""
    radius = int(4 * sigma + 0.5)
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    line /= line.sum()
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return np.where(distance <= radius, line[radius + np.minimum(distance, radius)], 0).astype(np.float32)


def _symmetric(key: PRNGKey, limit: float) -> Float[Array, ""]:
    return jax.random.uniform(key, (), minval=-limit, maxval=limit)


def _point(row: Array | float, column: Array | float) -> Float[Array, "1 2"]:
    return jnp.stack([jnp.asarray(row, jnp.float32), jnp.asarray(column, jnp.float32)]).reshape(1, 2)
