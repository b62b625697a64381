"""What a sweep has to know of a data set before it runs: the size of its images, and how many there are."""

from __future__ import annotations

from typing import Any, NamedTuple

from cnn_jax.schema import DATA_KEYS
from cnn_jax.train.loop import load_config_data


class Images(NamedTuple):
    """A data set in numbers.

    Attributes:
        shape: (H, W, C).
        classes: how many.
        sizes: images of each split.
    """

    shape: tuple[int, ...]
    classes: int
    sizes: dict[str, int]


# What `shapes` gives without being rendered: (H, W, C), images of training and test.
_SHAPES = {
    "shapes": ((32, 32, 3), 20_000, 4_000),
    "shapes:32": ((32, 32, 3), 20_000, 4_000),
    "shapes:tiny": ((32, 32, 3), 2_000, 500),
    "shapes:64": ((64, 64, 3), 20_000, 4_000),
}


def images_of(config: Any, known: dict[str, Images]) -> Images:
    """The images that a config trains on; those that are not in `known` yet are looked up and put there.

    Raises:
        DataError: the data has to be read for it, and cannot be.
    """
    key = " ".join(str(config[name]) for name in DATA_KEYS)
    if key not in known:
        known[key] = _embedded(config) or _read(config)
    return known[key]


def _embedded(config: Any) -> Images | None:
    if config.data not in _SHAPES or config.image_size is not None:
        return None
    shape, train, test = _SHAPES[config.data]
    held_out = round(config.validation * train)
    trained = min(train - held_out, config.train_images or train)
    return Images(shape, 10, {"train": trained, "validation": held_out, "test": test})


def _read(config: Any) -> Images:
    dataset = load_config_data(config)
    return Images(
        dataset.image_shape,
        len(dataset.classes),
        {name: len(split.label) for name, split in dataset.splits.items()},
    )
