"""Statistics of small patches of images, and the filters that whiten them."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def patch_covariance(images: Float[Array, "n h w c"], size: int) -> Float[Array, "p p"]:
    """Covariance of all patches of `size` x `size` pixels, at every place where one fits (Jordan 2024, section 3.2).

    Args:
        images: [N, H, W, C], at least `size` pixels high and wide.
        size: side of a patch.

    Returns:
        [P, P] with P = size * size * C, the numbers of a patch in the order row, column, channel. Sums go image by
        image, so that float32 keeps five digits over millions of patches.
    """
    count, height, width, channels = images.shape
    rows, columns = height - size + 1, width - size + 1
    places = [(y, x) for y in range(size) for x in range(size)]
    patches = jnp.concatenate([images[:, y : y + rows, x : x + columns] for y, x in places], axis=-1)
    patches = patches.reshape(count, rows * columns, size * size * channels)
    centred = patches - patches.mean(axis=1).mean(axis=0).reshape(1, 1, -1)
    products = jnp.einsum("nip,niq->npq", centred, centred, precision=lax.Precision.HIGHEST)
    return products.mean(axis=0) / (rows * columns)


def whitening_filters(covariance: Float[Array, "p p"], *, epsilon: float = 5e-4) -> Float[Array, "p p"]:
    """The directions of `covariance`, each divided by the deviation along it (Jordan 2024, section 3.2).

    What they give for patches of this covariance is uncorrelated and of variance one, but for `epsilon`.

    Args:
        covariance: [P, P], symmetric.
        epsilon: added to each variance, so that directions in which nothing varies are not blown up.

    Returns:
        [P, P], a filter a column, that of the largest variance first. The largest number of each is positive, which
        settles the sign that an eigenvector leaves open.
    """
    variances, directions = jnp.linalg.eigh(covariance)
    variances, directions = variances[::-1], directions[:, ::-1]
    largest = jnp.take_along_axis(directions, jnp.argmax(jnp.abs(directions), axis=0).reshape(1, -1), axis=0)
    # Rounding may leave a variance of zero a little below it.
    deviations = jnp.sqrt(jnp.maximum(variances, 0) + epsilon)
    return directions * (jnp.sign(largest) / deviations.reshape(1, -1))
