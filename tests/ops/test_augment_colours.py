"""Hue, PCA colour: against colorsys, and by the statistics of many draws."""

from __future__ import annotations

import colorsys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops

PIXELS = np.random.default_rng(2).integers(60, 190, (6, 5, 3), np.uint8)
COVARIANCE = np.array([[0.06, 0.05, 0.03], [0.05, 0.07, 0.04], [0.03, 0.04, 0.05]])


def _many(transform, image, count):
    keys = jax.random.split(jax.random.key(1), count)
    return np.asarray(jax.jit(jax.vmap(transform, in_axes=(0, None)))(keys, jnp.asarray(image)))


def test_hue_turns_the_colours_of_yiq_and_keeps_brightness_and_saturation():
    image = (PIXELS / 255).astype(np.float32)

    def yiq(picture):
        return np.array([[colorsys.rgb_to_yiq(*map(float, pixel)) for pixel in row] for row in picture])

    before = yiq(image)
    turns = []
    for out in _many(partial(ops.random_hue, delta=0.2), image, 40):
        after = yiq(out)
        np.testing.assert_allclose(
            after[..., 0], before[..., 0], atol=6e-3
        )  # colorsys has the weights of 1953, rounded
        a, b = (x[..., 1] + 1j * x[..., 2] for x in (before, after))
        np.testing.assert_allclose(np.abs(a), np.abs(b), atol=8e-3)
        turns.append(np.angle(np.sum(b * a.conj())) / (2 * np.pi))
        np.testing.assert_allclose(b, a * np.exp(2j * np.pi * turns[-1]), atol=8e-3)
    assert np.abs(turns).max() <= 0.201
    assert min(turns) < -0.15
    assert max(turns) > 0.15


def test_pca_colour_shifts_have_the_covariance_of_the_pixels():
    image = np.full((4, 3, 3), 0.5, np.float32)
    out = _many(partial(ops.pca_colour, covariance=COVARIANCE, sigma=0.1), image, 20000) - 0.5
    shifts = out[:, 0, 0].astype(np.float64)
    np.testing.assert_array_equal(out, np.broadcast_to(out[:, :1, :1], out.shape))  # one shift for all pixels
    np.testing.assert_allclose(np.cov(shifts.T), 0.01 * COVARIANCE, atol=0.04 * 0.01 * 0.07)
    assert np.abs(shifts.mean(axis=0)).max() < 5 * 0.1 * np.sqrt(0.07 / 20000)
    # Along the principal directions: normal, so that 68.3% lie within one standard deviation.
    values, vectors = np.linalg.eigh(COVARIANCE)
    scores = shifts @ vectors / (0.1 * np.sqrt(values))
    np.testing.assert_allclose((np.abs(scores) < 1).mean(axis=0), 0.683, atol=0.02)


def test_pca_colour_takes_a_covariance_that_is_singular():
    flat = np.outer([0.2, 0.2, 0.2], [0.2, 0.2, 0.2])
    shifts = _many(partial(ops.pca_colour, covariance=flat, sigma=0.5), np.zeros((1, 1, 3), np.float32), 50)[:, 0, 0]
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[:, :1], shifts.shape), atol=1e-5)
    assert shifts.std() > 0.05


def test_colours_keep_to_bytes_and_leave_grey_alone():
    bright = np.where(PIXELS > 120, 255, 0).astype(np.uint8)
    for transform in (
        partial(ops.random_hue, delta=0.5),
        partial(ops.pca_colour, covariance=COVARIANCE, sigma=5.0),
        partial(ops.random_saturation, delta=1.0),
    ):
        outputs = _many(transform, bright, 8)
        assert outputs.dtype == np.uint8
        # Clipped, not wrapped: what is far above white is white.
        floats = _many(transform, bright.astype(np.float32) / 255, 8)
        np.testing.assert_allclose(outputs, np.clip(floats, 0, 1) * 255, atol=0.51)
        np.testing.assert_array_equal(transform(jax.random.key(0), jnp.asarray(PIXELS[..., :1])), PIXELS[..., :1])
