from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """A cache of its own for every test."""
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CNN_JAX_CACHE", str(root))
    return root / "datasets"


@pytest.fixture
def save():
    """Writes an array or a Pillow image, making the folders above it."""

    def write(path: Path, image: np.ndarray | Image.Image, **options) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
        return path

    return write


@pytest.fixture
def noise():
    """Random pixels: `noise(seed, height, width, channels)`, grey without the last."""

    def make(seed: int, *shape: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, shape or (6, 6, 3), np.uint8)

    return make


@pytest.fixture
def folder(tmp_path, save, noise):
    """Builds PATH[/part]/class{k}/{i}.png of distinct random images and returns PATH."""

    def build(parts=("train", "test"), classes=("cat", "dog"), count=10, shape=(6, 6, 3)) -> Path:
        root = tmp_path / "images"
        for p, part in enumerate(parts):
            for k, name in enumerate(classes):
                for i in range(count):
                    save(root / part / name / f"{i}.png", noise(1000 * p + 100 * k + i, *shape))
        return root

    return build
