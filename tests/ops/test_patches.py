"""Whitening against NumPy and SciPy: the covariance of patches, and what the filters make of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from cnn_jax import ops


def smooth_images(count=12, height=9, width=7, channels=3):
    """Noise blurred over neighbours and channels, so that patches are correlated."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, height + 2, width + 2, channels)) @ rng.normal(size=(channels, channels))
    return (x[:, :-2, :-2] + x[:, 1:-1, 1:-1] + x[:, 2:, 2:] + 0.3).astype(np.float32)


def patches_of(images, size):
    """Every patch as a row, by loops."""
    count, height, width, _ = images.shape
    return np.array(
        [
            images[n, y : y + size, x : x + size].ravel()
            for n in range(count)
            for y in range(height - size + 1)
            for x in range(width - size + 1)
        ],
        np.float64,
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_covariance_is_that_of_all_patches(size):
    images = smooth_images()
    expected = np.cov(patches_of(images, size), rowvar=False, bias=True)
    np.testing.assert_allclose(ops.patch_covariance(jnp.asarray(images), size), expected, rtol=1e-4, atol=1e-5)


def test_whitened_patches_have_the_identity_for_covariance():
    patches = patches_of(smooth_images(), 2)
    covariance = np.cov(patches, rowvar=False, bias=True)
    filters = ops.whitening_filters(jnp.asarray(covariance, jnp.float32), epsilon=0.0)
    whitened = patches @ np.asarray(filters, np.float64)
    np.testing.assert_allclose(np.cov(whitened, rowvar=False, bias=True), np.eye(12), atol=2e-3)


def test_filters_are_scipys_eigenvectors_over_their_deviations():
    covariance = np.cov(patches_of(smooth_images(), 2), rowvar=False, bias=True)
    variances, directions = scipy.linalg.eigh(covariance)
    expected = (directions / np.sqrt(variances + 5e-4))[:, ::-1]
    expected = expected * np.sign([column[np.abs(column).argmax()] for column in expected.T])
    found = np.asarray(jax.jit(ops.whitening_filters)(jnp.asarray(covariance, jnp.float32)))
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-3)


def test_a_direction_without_variance_is_not_blown_up():
    covariance = jnp.diag(jnp.array([4.0, 1.0, 0.0]))
    filters = ops.whitening_filters(covariance, epsilon=0.25)
    np.testing.assert_allclose(filters, np.diag([1 / np.sqrt(4.25), 1 / np.sqrt(1.25), 2]), rtol=1e-6)
