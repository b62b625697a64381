"""A data set that a small network learns in seconds, for tests of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_jax.config import resolve
from cnn_jax.data import Dataset, Split

CLASSES = ("red", "green", "blue")


def toy_dataset(train: int = 150, validation: int = 31, test: int = 47, size: int = 12) -> Dataset:
    """Noise with one bright channel, the class. Sizes are odd on purpose: tails have to be handled."""
    rng = np.random.default_rng(0)

    def split(n: int) -> Split:
        label = rng.integers(0, 3, n).astype(np.int32)
        image = rng.integers(0, 120, (n, size, size, 3)).astype(np.uint8)
        image[np.arange(n), :, :, label] += 60
        return Split(image, label)

    return Dataset(
        "toy", CLASSES, {"train": split(train), "validation": split(validation), "test": split(test)}, "f00d"
    )


def toy_config(**changes: Any) -> Any:
    """A config for the toy data: 12 steps of an MLP with augmentation on one device."""
    flat = {
        "model.name": "mlp:8",
        "batch_size": 32,
        "total_steps": 12,
        "log_every": 4,
        "eval_every": 6,
        "checkpoint_every": 5,
        "num_devices": 1,
        "optimizer.learning_rate": 0.05,
        "augment": ("flip", "pad_crop:2"),
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return resolve(flat)
