"""Worked example of lecture 004 (Pollefeys): the losses of random search are multiclass hinge losses.

The accuracy of 15.5% after 1000 draws is that of CIFAR-10, which no test here has.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from cnn_jax import ops

LOSSES = (9.40, 8.96, 9.04, 9.28, 8.86, 8.94, 8.61)  # of seven draws, as lecture 004 prints them


def test_the_loss_of_no_weights_is_nine():
    """Lecture 004: ten classes with W = 0 lose 10 - 1 = 9 by the hinge, ln 10 = 2.30 by softmax; it prints about 9."""
    scores, labels = jnp.zeros((10, 10)), jnp.arange(10)
    losses = ops.multiclass_hinge(scores, labels)
    assert losses.tolist() == [9] * 10
    assert abs(np.mean(LOSSES) - float(losses.mean())) < 0.05
    np.testing.assert_allclose(ops.softmax_cross_entropy(scores, labels), math.log(10), rtol=1e-6)


def test_random_weights_lose_about_nine():
    """Lecture 004: W [10, 3073] of standard deviation 10^-4 on pixels less their mean, a one appended for the bias.

    Images of random brightness stand in for CIFAR-10: their pixels leave the mean together, as real ones do.
    """
    rng = np.random.default_rng(0)
    labels = jnp.arange(200) % 10
    brightness = rng.normal(0, 40, (200, 1))
    pixels = np.clip(128 + brightness + rng.normal(0, 50, (200, 3072)), 0, 255)
    pixels -= pixels.mean(0)
    x = np.concatenate([pixels, np.ones((200, 1))], 1)
    losses = [
        float(ops.multiclass_hinge(jnp.asarray(x @ rng.normal(0, 1e-4, (3073, 10)), jnp.float32), labels).mean())
        for _ in range(7)
    ]
    assert all(min(LOSSES) - 0.4 < loss < max(LOSSES) + 0.4 for loss in losses), losses
