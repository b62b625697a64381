"""The one `Dataset` type, how a validation split is held out of it, and `load_dataset`."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cnn_jax.data.lazy import LazyImages, Moments, moments_of
from cnn_jax.errors import ConfigError, DataError

SPLIT_NAMES = ("train", "validation", "test")
# Part of a fingerprint: raise it when `held_out` or `spread_subset` chooses other examples than before.
_HOLD_OUT_RULE = 1
_SUBSET_RULE = 1
_SUBSET_SEED = 1  # another order than that by which examples are held out
_PIXELS_AT_ONCE = 1 << 16


class Statistics(NamedTuple):
    """Per-channel mean and standard deviation, float32 `[C]`, of pixels scaled to 0..1."""

    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Split:
    """Examples in memory, mapped from disk, or left in their files.

    Attributes:
        image: uint8 `[N, H, W, C]` with C = 1 or 3; `LazyImages` where they are read when asked for.
        label: int32 `[N]`.

    Raises:
        DataError: arrays of another dtype or rank, of different lengths, or empty.
    """

    image: np.ndarray | LazyImages
    label: np.ndarray

    def __post_init__(self):
        if self.image.dtype != np.uint8 or self.image.ndim != 4 or 0 in self.image.shape:
            raise DataError(11, f"images must be uint8 [N, H, W, C] and not empty, not {_form(self.image)}")
        if self.label.dtype != np.int32 or self.label.shape != self.image.shape[:1]:
            raise DataError(11, f"labels must be int32 [{len(self.image)}], one an image, not {_form(self.label)}")

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: np.ndarray) -> Split:
        """The examples at `index`, in its order, as new arrays."""
        return Split(self.image[index], self.label[index])

    def digest(self) -> str:
        """sha256 of the pixels, the labels and their shape; of images in memory."""
        assert isinstance(self.image, np.ndarray), "of images in files a survey knows the digest"
        digest = hashlib.sha256(repr(self.image.shape).encode())
        digest.update(np.ascontiguousarray(self.image).data)
        digest.update(np.ascontiguousarray(self.label).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A classification data set, checked: whoever holds one need not check it again.

    Attributes:
        name: the specification it was loaded from.
        classes: their names; a label is an index into them.
        splits: "train", "test" and usually "validation"; all images have one shape.
        fingerprint: sha256 of the content and of the rule that split it. The same files elsewhere have the same one.
        names: of the examples of each split, where they come from files: their paths inside the data set's folder.

    Raises:
        DataError: a label outside `0 <= label < len(classes)`, or splits whose images differ in shape.
    """

    name: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    fingerprint: str
    names: dict[str, list[str]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self):
        shape = self.image_shape
        for name, split in self.splits.items():
            if split.image.shape[1:] != shape:
                found = f"the {name} images are {split.image.shape[1:]}, the train images {shape}"
                raise DataError(7, f"{self.name}: {found}; set --config.image_size=N --config.fit=resize")
            outside = (split.label < 0) | (split.label >= len(self.classes))
            if outside.any():
                first = int(outside.argmax())
                found = f"{name} example {first} has label {split.label[first]}, legal are 0 to {self.num_classes - 1}"
                raise DataError(10, f"{self.name}: {found} ({outside.sum()} of {len(split)} labels are outside)")

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of every image."""
        height, width, channels = self.splits["train"].image.shape[1:]
        return height, width, channels

    @property
    def streamed(self) -> bool:
        """Whether images stay in their files until they are asked for."""
        return isinstance(self.splits["train"].image, LazyImages)

    def example_name(self, split: str, index: int) -> str:
        """What an example is called: its file, or its split and number."""
        image = self.splits[split].image
        if isinstance(image, LazyImages):
            return image.name(index)
        return self.names[split][index] if split in self.names else f"{split} {index}"

    def statistics(self) -> Statistics:
        """Per-channel mean and standard deviation of the training images scaled to 0..1, exact over all pixels."""
        count, total, products = self._moments
        sums, squares = ([int(value) for value in values] for values in (total, np.diag(products)))
        mean = [value / (255 * count) for value in sums]
        variance = [(count * q - s * s) / (255 * count) ** 2 for s, q in zip(sums, squares, strict=True)]
        return Statistics(np.array(mean, np.float32), np.sqrt(np.array(variance)).astype(np.float32))

    def covariance(self) -> np.ndarray:
        """Covariance of the channels over all pixels of the training images scaled to 0..1, float64 `[C, C]`."""
        count, total, products = self._moments
        mean = total / count
        return (products / count - np.outer(mean, mean)) / 255**2

    @functools.cached_property
    def _moments(self) -> Moments:
        image = self.splits["train"].image
        if isinstance(image, LazyImages):
            return image.moments()
        channels = image.shape[-1]
        pixels = image.reshape(1, -1, channels)
        # Whole numbers, block by block: no rounding, and no float copy of the data set.
        sums = np.zeros(channels + channels**2, np.int64)
        for start in range(0, pixels.shape[1], _PIXELS_AT_ONCE):
            sums += moments_of(pixels[:, start : start + _PIXELS_AT_ONCE])
        return Moments(pixels.shape[1], sums[:channels], sums[channels:].reshape(channels, channels))


class Source(NamedTuple):
    """What a source hands over: the splits it has itself, before a validation split is held out.

    Attributes:
        classes: their names.
        splits: "train", "test" and, if the source has one, "validation".
        digests: `Split.digest()` of every split, known to the cache without reading the data again.
        rule: how the source itself split the data, for the fingerprint; "" if it came split.
        names: of the examples of each split in memory, where they come from files.
    """

    classes: tuple[str, ...]
    splits: dict[str, Split]
    digests: dict[str, str]
    rule: str = ""
    names: Mapping[str, list[str]] = MappingProxyType({})


def held_out(label: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Chooses which examples to hold out: the same share of every class, by `(seed, index)` alone.

    Args:
        label: int `[N]`.
        fraction: share of each class, rounded; at least one example where the class has two.
        seed: another seed chooses other examples.

    Returns:
        bool `[N]`, true for the examples held out.
    """
    order = _mixed(np.arange(len(label), dtype=np.uint64), seed)
    chosen = np.zeros(len(label), bool)
    for value in np.unique(label):
        members = np.flatnonzero(label == value)
        count = min(max(round(fraction * len(members)), 1), len(members) - 1) if fraction > 0 else 0
        chosen[members[np.argsort(order[members], kind="stable")[:count]]] = True
    return chosen


def spread_subset(label: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Chooses `count` examples, the same share of every class, by `(seed, index)` alone.

    A smaller subset is part of a larger one of the same seed.

    Args:
        label: int `[N]`.
        count: how many, at most N.
        seed: another seed chooses other examples.

    Returns:
        bool `[N]`, true for the examples chosen.
    """
    order = _mixed(np.arange(len(label), dtype=np.uint64), seed)
    place = np.zeros(len(label))
    for value in np.unique(label):
        members = np.flatnonzero(label == value)
        drawn = members[np.argsort(order[members], kind="stable")]
        place[drawn] = (np.arange(len(drawn)) + 0.5) / len(drawn)  # how far into its class an example stands
    chosen = np.zeros(len(label), bool)
    chosen[np.argsort(place, kind="stable")[:count]] = True
    return chosen


def load_dataset(
    spec: str,
    *,
    validation: float = 0.1,
    train_images: int | None = None,
    seed: int = 0,
    image_size: int | tuple[int, int] | None = None,
    fit: str = "none",
    memory: int | None = None,
) -> Dataset:
    """Loads a data set; decoded images are cached, so that a second start takes seconds.

    What takes more than `memory` stays in its files: it is read once, to be checked and measured, and after that when
    it is asked for. The content, the splits, the statistics and the fingerprint are the same.

    Args:
        spec: `shapes`, `shapes:CONFIG`, `folder:PATH` or `tfds:NAME`.
        validation: share of the training split held out where the source has no validation split; 0 holds out none.
        train_images: how many of the remaining training examples are kept, the same share of every class; None for all.
        seed: which examples are held out, and which are kept.
        image_size: pixels, one number for a square or `(height, width)`; None keeps the images' own size.
        fit: how images come to `image_size`: "none" (they must have it), "pad" (centred on black; MNIST 28 to 32 as
            in LeCun et al. 1998, section II.B) or "resize" (bilinear, shorter side first, then the centre crop).
        memory: bytes that decoded images may take; None for any, 0 to leave all data in its files.

    Raises:
        ConfigError: an unknown form of `spec`, or arguments that cannot be used.
        DataError: data that is missing, broken or inconsistent.
    """
    kind, _, rest = spec.partition(":")
    size = _checked_size(image_size, fit)
    if not (isinstance(validation, int | float) and math.isfinite(validation) and 0 <= validation < 1):
        raise ConfigError(61, f"validation={validation!r} is not a share of the training split: 0 <= validation < 1")
    source = _opener(spec, kind, rest)(size, fit, memory)
    splits, names, rule = dict(source.splits), dict(source.names), [source.rule, "source"]
    if "validation" not in splits and validation > 0:
        chosen = held_out(splits["train"].label, validation, seed)
        if not chosen.any():
            raise DataError(
                12, f"{spec}: no class has two training images, so none can be held out: set --config.validation=0"
            )
        splits["validation"] = splits["train"].take(np.flatnonzero(chosen))
        splits["train"] = splits["train"].take(np.flatnonzero(~chosen))
        if "train" in names:
            both = names["train"]
            names["validation"], names["train"] = ([both[i] for i in np.flatnonzero(c)] for c in (chosen, ~chosen))
        rule = [source.rule, f"rule {_HOLD_OUT_RULE}, fraction {float(validation)!r}, seed {int(seed)}"]
    if train_images is not None:
        there = len(splits["train"])
        if not 0 < train_images <= there:
            raise ConfigError(
                64, f"train_images={train_images}: {spec} has {there} training images, ask for 1 to {there} of them"
            )
        kept = np.flatnonzero(spread_subset(splits["train"].label, train_images, seed + _SUBSET_SEED))
        splits["train"] = splits["train"].take(kept)
        if "train" in names:
            names["train"] = [names["train"][i] for i in kept]
        rule = [*rule, f"subset {_SUBSET_RULE}, {train_images} training images, seed {int(seed)}"]
    content = json.dumps([source.classes, sorted(source.digests.items()), rule])
    fingerprint = hashlib.sha256(content.encode()).hexdigest()
    splits = {name: splits[name] for name in SPLIT_NAMES if name in splits}
    return Dataset(spec, source.classes, splits, fingerprint, names)


def _opener(spec: str, kind: str, rest: str) -> Callable[[tuple[int, int] | None, str, int | None], Source]:
    """The function of `(size, fit, memory)` that reads what `spec` names. Sources are imported when asked for."""
    if kind == "folder" and rest:
        from cnn_jax.data import folder

        return lambda size, fit, memory: folder.open_folder(rest, size, fit, memory)
    if kind == "tfds" and rest:
        from cnn_jax.data import tfds_source

        return lambda size, fit, memory: tfds_source.open_tfds(rest, size, fit, memory)
    if kind == "shapes":
        from cnn_jax.data import shapes_source

        return lambda size, fit, memory: shapes_source.open_shapes(rest, size, fit, memory)
    if spec == "none":
        raise ConfigError(285, "this network was imported without data: import it with --config.data=folder:PATH, too")
    legal = "shapes, shapes:CONFIG (shapes:64, shapes:tiny), folder:PATH and tfds:NAME"
    raise ConfigError(60, f"data={spec!r} is no data set; legal are {legal}")


def _checked_size(image_size: int | tuple[int, int] | None, fit: str) -> tuple[int, int] | None:
    if fit not in ("none", "pad", "resize"):
        raise ConfigError(62, f"fit={fit!r} is unknown; legal are none, pad and resize")
    if image_size is None:
        if fit != "none":
            raise ConfigError(62, f"fit={fit} needs a size to come to: set --config.image_size, for example 32")
        return None
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not (0 < height <= 4096 and 0 < width <= 4096):
        raise ConfigError(63, f"image_size={image_size!r} must lie between 1 and 4096 pixels")
    return height, width


def _mixed(index: np.ndarray, seed: int) -> np.ndarray:
    """splitmix64 of `(seed, index)`: NumPy's own generators may change their streams between versions."""
    with np.errstate(over="ignore"):
        z = index * np.uint64(0x9E3779B97F4A7C15) + np.uint64((seed * 0xD1B54A32D192ED03 + 1) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _form(array: np.ndarray | LazyImages) -> str:
    return f"{array.dtype} {list(array.shape)}"
