"""Random mixtures of examples `(keys [B], images [B, H, W, C], targets [B, K]) -> (images, targets)`.

Examples 2i and 2i + 1 are partners: each is mixed with the other by a share of its own. In a shuffled batch that is a
random partner, and unlike a permutation of the batch it is the same however the batch is cut into even parts.
Targets are probabilities of the classes, and each row's sum stays one.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Num

from cnn_jax.errors import ConfigError
from cnn_jax.ops.augment_example import as_dtype_of, full_range

Keys = Key[Array, "batch"]
Images = Num[Array, "batch height width channels"]
Targets = Float[Array, "batch classes"]

_QUANTILES = 4096


def mixup(
    keys: Keys, images: Images, targets: Targets, *, alpha: float = 0.2, probability: float = 1.0
) -> tuple[Images, Targets]:
    """Blends partners: `s x + (1 - s) x'`, in images and targets alike (Zhang et al. 2018, section 2).

    Args:
        keys: one PRNG key an example.
        images: uint8 or floats.
        targets: probabilities of the classes.
        alpha: s is drawn from Beta(alpha, alpha), 0.01 to 100; small leaves most examples nearly alone.
        probability: of an example being mixed at all, 0 to 1.

    Raises:
        ConfigError: an odd batch.
    """
    share = jax.vmap(lambda key: _drawn_share(key, alpha, probability)[0])(keys)
    mixed = jax.vmap(lambda s, image, other: as_dtype_of(image, s * full_range(image) + (1 - s) * full_range(other)))(
        share, images, partners(images)
    )
    return mixed, _mixed_targets(share, targets)


def cutmix(
    keys: Keys, images: Images, targets: Targets, *, alpha: float = 1.0, probability: float = 1.0
) -> tuple[Images, Targets]:
    """Pastes a rectangle of the partner into the image; targets mix by the areas (Yun et al. 2019, section 3.1).

    The rectangle has the image's ratio of sides and its centre anywhere, so that parts may fall outside; the targets'
    shares are those of the pixels seen.

    Args:
        keys: one PRNG key an example.
        images: any dtype.
        targets: probabilities of the classes.
        alpha: the rectangle is `sqrt(1 - s)` of each side, s from Beta(alpha, alpha), 0.01 to 100; 1 is uniform.
        probability: of an example being mixed at all, 0 to 1.

    Raises:
        ConfigError: an odd batch.
    """
    pasted = jax.vmap(lambda key: _rectangle(key, images.shape[1:3], alpha, probability))(keys)
    share = 1 - jnp.mean(pasted, axis=(1, 2), dtype=jnp.float32)
    return jnp.where(pasted[..., None], partners(images), images), _mixed_targets(share, targets)


def partners(array: Array) -> Array:
    """Entries 2i and 2i + 1 of the first axis change places.

    Raises:
        ConfigError: an odd number of them.
    """
    size = array.shape[0]
    if size % 2:
        raise ConfigError(130, f"mixup and cutmix take examples in pairs: a batch of {size} must be even")
    return array.reshape(size // 2, 2, *array.shape[1:])[:, ::-1].reshape(array.shape)


def _mixed_targets(share: Float[Array, " batch"], targets: Targets) -> Targets:
    return share[:, None] * targets + (1 - share[:, None]) * partners(targets)


def _rectangle(
    key: Key[Array, ""], size: tuple[int, ...], alpha: float, probability: float
) -> Bool[Array, "height width"]:
    share, place = _drawn_share(key, alpha, probability)
    sides = [jnp.round(jnp.sqrt(1 - share) * side).astype(jnp.int32) for side in size]
    starts = [jnp.floor(place[i] * side).astype(jnp.int32) - sides[i] // 2 for i, side in enumerate(size)]
    rows, columns = (jnp.arange(side) - start for side, start in zip(size, starts, strict=True))
    return ((rows >= 0) & (rows < sides[0]))[:, None] & ((columns >= 0) & (columns < sides[1]))[None, :]


def _drawn_share(key: Key[Array, ""], alpha: float, probability: float) -> tuple[Float[Array, ""], Float[Array, 2]]:
    """A share from Beta(alpha, alpha), 1 if the example is to be left alone, and two more numbers uniform in 0..1.

    By the inverse of the distribution, interpolated between 4,096 quantiles: JAX's own sampler rejects in a loop,
    which takes long to compile and does not vectorise.
    """
    draws = jax.random.uniform(key, (4,))
    place = draws[0] * _QUANTILES
    low = jnp.minimum(jnp.floor(place), _QUANTILES - 1)
    quantiles = jnp.asarray(_beta_quantiles(alpha))
    index = low.astype(jnp.int32)
    share = quantiles[index] + (place - low) * (quantiles[index + 1] - quantiles[index])
    return jnp.where(draws[1] < probability, share, 1.0), draws[2:]


@functools.lru_cache
def _beta_quantiles(alpha: float) -> np.ndarray:
    import scipy.special

    return scipy.special.betaincinv(alpha, alpha, np.linspace(0, 1, _QUANTILES + 1)).astype(np.float32)
