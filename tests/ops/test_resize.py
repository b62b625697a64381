from __future__ import annotations

import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from cnn_jax import ops
from cnn_jax.errors import ConfigError

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(2, 6, 9, 3)).astype(np.float32)


def _bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Half-pixel centres, by the definition, pixel by pixel."""
    out = np.zeros((*size, image.shape[-1]))
    for i, j in itertools.product(*map(range, size)):
        y = np.clip((i + 0.5) * image.shape[0] / size[0] - 0.5, 0, image.shape[0] - 1)
        x = np.clip((j + 0.5) * image.shape[1] / size[1] - 0.5, 0, image.shape[1] - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
        v, h = y - top, x - left
        out[i, j] = (1 - v) * ((1 - h) * image[top, left] + h * image[top, right])
        out[i, j] += v * ((1 - h) * image[bottom, left] + h * image[bottom, right])
    return out


@pytest.mark.parametrize("size", [(12, 18), (4, 5), (6, 9), (7, 3)])
def test_bilinear_by_the_definition(size):
    expected = np.stack([_bilinear(image, size) for image in X])
    np.testing.assert_allclose(ops.resize(jnp.asarray(X), size), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 3), (2, 9), (4, 5)])
def test_antialiased_bilinear_as_pillow(size):
    planes = [np.asarray(Image.fromarray(X[0, ..., c]).resize(size[::-1], Image.Resampling.BILINEAR)) for c in range(3)]
    np.testing.assert_allclose(ops.resize(jnp.asarray(X), size, antialias=True)[0], np.stack(planes, -1), atol=1e-5)


@pytest.mark.parametrize("size", [(12, 18), (4, 5), (13, 2)])
def test_nearest_by_the_definition(size):
    rows = np.floor((np.arange(size[0]) + 0.5) * 6 / size[0]).astype(int)
    columns = np.floor((np.arange(size[1]) + 0.5) * 9 / size[1]).astype(int)
    np.testing.assert_array_equal(ops.resize(jnp.asarray(X), size, method="nearest"), X[:, rows][:, :, columns])


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_upsample(scale):
    np.testing.assert_array_equal(ops.upsample(jnp.asarray(X), scale), X.repeat(scale, 1).repeat(scale, 2))
    nails = np.zeros((2, 6 * scale, 9 * scale, 3), np.float32)
    nails[:, ::scale, ::scale] = X
    np.testing.assert_array_equal(ops.upsample(jnp.asarray(X), scale, method="bed_of_nails"), nails)
    smooth = ops.upsample(jnp.asarray(X), scale, method="bilinear")
    np.testing.assert_allclose(smooth[0], _bilinear(X[0], (6 * scale, 9 * scale)), atol=1e-5)


def test_upsample_of_the_lectures():
    x = jnp.array([[1, 2], [3, 4]])[None, :, :, None]
    nearest = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    nails = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(ops.upsample(x)[0, ..., 0], nearest)
    np.testing.assert_array_equal(ops.upsample(x, method="bed_of_nails")[0, ..., 0], nails)


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_transposed_convolution_with_the_bilinear_kernel_interpolates(scale):
    kernel = ops.bilinear_kernel(scale, 3)
    side = 2 * scale - scale % 2
    assert kernel.shape == (side, side, 3, 3)
    # The FCN authors crop: only the interior, where no kernel reaches over the border, is an interpolation.
    low = side - 1 - (side - scale) // 2
    raised = jax.lax.conv_general_dilated(
        jnp.asarray(X),
        jnp.asarray(kernel),
        (1, 1),
        ((low, low), (low, low)),
        (scale, scale),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    expected = _bilinear(X[0], (6 * scale, 9 * scale))
    inner = slice(scale, -scale)
    np.testing.assert_allclose(raised[0][: 6 * scale, : 9 * scale][inner, inner], expected[inner, inner], atol=1e-5)


def test_affine_as_scipy():
    matrix = np.array([[0.9, 0.3], [-0.2, 1.1]], np.float32)
    offset = np.array([0.4, -0.7], np.float32)
    beyond: tuple[Literal["zeros", "edge"], ...] = ("zeros", "edge")
    for outside in beyond:
        got = ops.affine(jnp.asarray(X[0]), jnp.asarray(matrix), jnp.asarray(offset), outside=outside)
        padded = np.pad(X[0], ((4, 4), (4, 4), (0, 0)), mode="constant" if outside == "zeros" else "edge")
        # One matrix for rows, columns and channels; four pixels of padding move the origin.
        whole, shift = np.eye(3), np.zeros(3)
        whole[:2, :2], shift[:2] = matrix, offset - matrix @ [4, 4] + 4
        expected = scipy.ndimage.affine_transform(padded, whole, shift, order=1)  # pyright: ignore[reportArgumentType]
        np.testing.assert_allclose(got, expected[4:-4, 4:-4], atol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.resize(jnp.asarray(X), (0, 4)),
        lambda: ops.resize(jnp.asarray(X), (3, 4), method="cubic"),
        lambda: ops.upsample(jnp.asarray(X), 0),
        lambda: ops.upsample(jnp.asarray(X), method="pool"),
    ],
)
def test_what_cannot_be_done_is_refused(call):
    with pytest.raises(ConfigError, match=r"E-CONF-65.*(legal are|at least 1)"):
        call()


def test_gradients_are_the_adjoint():
    y = GENERATOR.normal(size=(2, 4, 5, 3)).astype(np.float32)
    pullback = jax.vjp(lambda x: ops.resize(x, (4, 5)), X)[1](y)[0]
    np.testing.assert_allclose(np.vdot(ops.resize(jnp.asarray(X), (4, 5)), y), np.vdot(X, pullback), rtol=1e-3)
