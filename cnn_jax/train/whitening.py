"""What a network that whitens its input has to know of the training images."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import models, ops

# As many as airbench94.py takes, of 32x32: patches overlap, and more say nothing new.
_IMAGES = 5000
_PIXELS = _IMAGES * 32 * 32


def patch_size(config: Any) -> int:
    """Side of the patches that the config's model whitens in its first layer, its keyword `whitening`; 0 if none."""
    keywords = dict(config.model)
    return getattr(models.create(keywords.pop("name"), **keywords), "whitening", 0)


def measured(num_examples: int, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Which training images are measured: at most 5,000, fewer of large ones, spread evenly over the split."""
    height, width, _ = image_shape
    count = max(1, min(num_examples, _IMAGES, _PIXELS // (height * width)))
    return np.arange(count) * num_examples // count


def patches_of(image: jax.Array, size: int, mean: Any, std: Any) -> jax.Array:
    """Covariance of the patches of uint8 images [N, H, W, C] as the network sees them: float32 [P, P].

    Args:
        image: the images.
        size: side of a patch.
        mean: of each channel, in 0..1.
        std: standard deviation of each channel.
    """
    shift, scale = (jnp.asarray(value, jnp.float32).reshape(1, 1, 1, -1) for value in (mean, std))
    return ops.patch_covariance((image.astype(jnp.float32) / 255 - shift) / scale, size)
