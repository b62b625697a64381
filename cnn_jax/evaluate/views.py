"""Several views of each test image, whose logits are averaged."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def speedrun_views(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The six views of the CIFAR-10 speed records (Jordan 2024, section 3.5).

    As it is, moved by one pixel down and right, and moved by one pixel up and left, each of the three as it is and
    mirrored; what comes in at the border is the image, mirrored without its border pixel. The unmoved views count half.

    Args:
        images: uint8 [N, H, W, C], at least 2x2 pixels.

    Returns:
        The views, uint8 [6, N, H, W, C], and their weights, float32 [6], which sum to 1.
    """
    _, height, width, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    moved = [images, padded[:, :height, :width], padded[:, 2:, 2:]]
    views = jnp.stack([view for image in moved for view in (image, image[:, :, ::-1])])
    return views, jnp.array([1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 8, 1 / 8], jnp.float32)


def average_logits(logits: jax.Array, weights: jax.Array) -> jax.Array:
    """The weighted mean over views: [V, N, K] and [V] to [N, K]."""
    return jnp.sum(logits * weights.reshape(-1, 1, 1), axis=0)


def speedrun_logits(logits_of: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """Logits of `speedrun_views`, averaged.

    Args:
        logits_of: uint8 images [M, H, W, C] to logits [M, K].
        images: uint8 [N, H, W, C].

    Returns:
        float32 [N, K].
    """
    views, weights = speedrun_views(images)
    logits = logits_of(views.reshape(-1, *images.shape[1:]))
    return average_logits(logits.reshape(len(weights), len(images), -1), weights)
