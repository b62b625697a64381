"""Workdirs of small networks with random weights: nothing about evaluation needs them trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from cnn_jax.data import Dataset, Split
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.judge import better
from cnn_jax.train.workdir import DATASET, open_workdir, write_json
from tests.toy import toy_config

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")


def dataset(size: int = 20, channels: int = 3, test: int = 23, classes: tuple[str, ...] = CLASSES) -> Dataset:
    """Noise, with labels by chance."""
    rng = np.random.default_rng(1)

    def split(n: int) -> Split:
        image = rng.integers(0, 256, (n, size, size, channels), dtype=np.uint8)
        return Split(image, rng.integers(0, len(classes), n).astype(np.int32))

    return Dataset("noise", classes, {"train": split(40), "validation": split(11), "test": split(test)}, "c0de")


def workdir(path: Path, model: str, examples: Dataset, steps: tuple[int, ...] = (3,), **changes: Any) -> Path:
    """A workdir as training leaves it, with weights that make the network's answers differ from image to image."""
    config = toy_config(**{"model__name": model, "augment": (), **changes})
    spec = DataSpec.of(examples)
    program = build(config, spec)
    open_workdir(path, config)
    write_json(path / DATASET, spec._asdict())
    (path / "metrics.jsonl").touch()
    for step in steps:
        state = program.create_state(np.int32(step))
        params = jax.tree.map(lambda leaf: 1.5 * leaf, state.params)
        meta = {"validation": {"accuracy": 0.1 * step, "loss": 1.0}, "window": {}, "waited": 0, "seconds": 0.0}
        Checkpoints(path / "checkpoints", better).save(step, dataclasses.replace(state, params=params), meta)
    return path


def folder(root: Path, data: Dataset, split: str = "test", names: tuple[str, ...] | None = None) -> Path:
    """The images of a split as `ROOT/{train,test}/CLASS/NUMBER.png`; both splits hold the same."""
    names = names or data.classes
    for part in ("train", "test"):
        for name in names:
            (root / part / name).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(data.splits[split].image, data.splits[split].label, strict=True)):
            if data.classes[label] in names:
                pixels = image[..., 0] if image.shape[-1] == 1 else image
                Image.fromarray(pixels).save(root / part / data.classes[label] / f"{number}.png")
    return root
