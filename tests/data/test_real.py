"""Real data, where it is to be had: MNIST as a folder of images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data import load_dataset

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "unpack").exists(), reason="no MNIST beside the repository")
def test_mnist_as_a_folder(tmp_path):
    subprocess.run([str(DATA / "unpack"), "mnist-png", str(tmp_path)], check=True, capture_output=True)
    dataset = load_dataset(f"folder:{tmp_path / 'mnist-png'}", image_size=32, fit="pad")
    assert dataset.classes == tuple("0123456789")
    # A tenth of each of the ten digits, rounded digit by digit (592 of the 5,923 zeros, ...), makes 5,999.
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 54001, "validation": 5999, "test": 10000,
    }  # fmt: skip
    assert dataset.image_shape == (32, 32, 1)
    # Counts of each digit among the 10,000 test images, as published with the set.
    counted = np.bincount(dataset.splits["test"].label)
    assert counted.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # Mean and deviation of the training pixels are 0.1307 and 0.3081 at 28x28; padding with black scales the mean.
    mean, _ = dataset.statistics()
    assert mean[0] == pytest.approx(0.1307 * (28 / 32) ** 2, abs=2e-3)
