"""The views of the speed records against loops over pixels."""

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.evaluate.views import average_logits, speedrun_views


def reflected(at: int, size: int) -> int:
    """The index that stands beyond a border: the image mirrored without its border pixel."""
    at = abs(at)
    return at if at < size else 2 * (size - 1) - at


def test_views_are_those_of_the_loops():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 2)).astype(np.uint8)
    views, weights = jax.jit(speedrun_views)(images)
    assert views.dtype == jnp.uint8
    assert float(weights.sum()) == 1
    place = 0
    for shift in (0, -1, 1):
        for mirrored in (False, True):
            for y in range(5):
                for x in range(4):
                    column = 3 - x if mirrored else x
                    expected = images[:, reflected(y + shift, 5), reflected(column + shift, 4)]
                    where = f"{shift} {mirrored} {y} {x}"
                    np.testing.assert_array_equal(views[place, :, y, x], expected, err_msg=where)
            place += 1
    assert views.shape == (place, *images.shape)


def test_logits_are_averaged_as_the_records_average_them():
    """Half for the mean over mirrored images where they stand, half for that over those moved."""
    logits = np.random.default_rng(1).normal(size=(6, 7, 10)).astype(np.float32)
    _, weights = speedrun_views(jnp.zeros((1, 2, 2, 3), jnp.uint8))
    expected = np.zeros((7, 10))
    for n in range(7):
        for k in range(10):
            still = (logits[0, n, k] + logits[1, n, k]) / 2
            moved = sum(logits[v, n, k] for v in (2, 3, 4, 5)) / 4
            expected[n, k] = 0.5 * still + 0.5 * moved
    np.testing.assert_allclose(average_logits(jnp.asarray(logits), weights), expected, rtol=1e-5, atol=1e-6)
