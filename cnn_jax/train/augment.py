"""From the entries of `config.augment` to one function of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.augmentations import MIXING, Entry, read_augmentations
from cnn_jax.errors import ConfigError
from cnn_jax.tasks import Batch

Augment = Callable[[jax.Array, jax.Array, jax.Array, Batch], Batch]
"""`(key, epoch [B], index [B], batch) -> batch`: `index` numbers the examples of the training split."""

_ONE_IMAGE: dict[str, Callable[..., jax.Array]] = {
    "flip": ops.random_flip,
    "pad_crop": ops.pad_crop,
    "resized_crop": ops.random_resized_crop,
    "rotation": ops.random_rotation,
    "scale": ops.random_scale,
    "translation": ops.random_translation,
    "elastic": ops.elastic,
    "brightness": ops.random_brightness,
    "contrast": ops.random_contrast,
    "saturation": ops.random_saturation,
    "hue": ops.random_hue,
    "pca_colour": ops.pca_colour,
    "cutout": ops.cutout,
}
_PAIRS: dict[str, Callable[..., tuple[jax.Array, jax.Array]]] = {"mixup": ops.mixup, "cutmix": ops.cutmix}


def make_augment(
    entries: Sequence[str], *, num_classes: int, covariance: Sequence[Sequence[float]] = (), part: int = 2
) -> Augment:
    """The transformations that `config.augment` lists, one after another.

    Each draws from a key of its own: folded from the example's key, which is a function of (epoch, index), by its
    place in the list. So what an example becomes depends neither on its batch nor on the devices; with `mixup` and
    `cutmix` it depends on its partner, its neighbour in the order of the epoch, as well.

    Args:
        entries: as in `config.augment`; `augmentations.py` lists what is legal.
        num_classes: for the soft targets of `mixup` and `cutmix`.
        covariance: 3x3, of the colours of the training images in 0..1, for `pca_colour`; unused where images are grey.
        part: how many examples are computed together.

    Returns:
        A function of uint8 images `[B, H, W, C]` and int32 labels `[B]`; the images stay uint8 of their shape. Without
        `mixup` and `cutmix` the labels stay, with them they become float32 `[B, num_classes]` that sum to one.

    Raises:
        ConfigError: an entry that is not legal; `mixup` or `cutmix` with an odd part.
    """
    read = read_augmentations(entries)
    transforms = [_transform(place, entry, covariance) for place, entry in enumerate(read)]
    soft = any(entry.name in MIXING for entry in read)
    if soft and part % 2:
        raise ConfigError(
            130,
            f"config.augment mixes examples in pairs, and {part} are computed together: set config.batch_size so that, "
            "divided by config.accumulate (and under pmap by the devices), it is even",
        )

    def augment(key: jax.Array, epoch: jax.Array, index: jax.Array, batch: Batch) -> Batch:
        if soft:
            batch = {**batch, "label": jax.nn.one_hot(batch["label"], num_classes, dtype=jnp.float32)}
        for transform in transforms:
            batch = transform(key, epoch, index, batch)
        return batch

    return augment


def _transform(place: int, entry: Entry, covariance: Any) -> Augment:
    if entry.name == "alternating_flip":
        return functools.partial(_alternating_flip, place)
    if entry.name in MIXING:
        return functools.partial(_on_pairs, place, functools.partial(_PAIRS[entry.name], **entry.parameters))
    parameters = dict(entry.parameters)
    if entry.name == "pca_colour":
        parameters["covariance"] = covariance
    return functools.partial(_on_images, place, functools.partial(_ONE_IMAGE[entry.name], **parameters))


def _on_images(
    place: int,
    transform: Callable[..., jax.Array],
    key: jax.Array,
    epoch: jax.Array,
    index: jax.Array,
    batch: Batch,
) -> Batch:
    return {**batch, "image": jax.vmap(transform)(_keys(key, epoch, index, place), batch["image"])}


def _on_pairs(
    place: int,
    transform: Callable[..., tuple[jax.Array, jax.Array]],
    key: jax.Array,
    epoch: jax.Array,
    index: jax.Array,
    batch: Batch,
) -> Batch:
    image, label = transform(_keys(key, epoch, index, place), batch["image"], batch["label"])
    return {**batch, "image": image, "label": label}


def _alternating_flip(place: int, key: jax.Array, epoch: jax.Array, index: jax.Array, batch: Batch) -> Batch:
    keys = _keys(key, jnp.zeros_like(epoch), index, place)
    image = jax.vmap(lambda key, image, epoch: ops.alternating_flip(key, image, epoch=epoch))(
        keys, batch["image"], epoch
    )
    return {**batch, "image": image}


def _keys(key: jax.Array, epoch: jax.Array, index: jax.Array, place: int) -> jax.Array:
    """One key an example, epoch and place in the list, whatever batch or device the example falls on."""

    def fold(epoch: jax.Array, index: jax.Array) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, epoch), index), place)

    return jax.vmap(fold)(epoch, index)
