"""C7: images a second into the step, from the device with augmentation against files streamed by Grain."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.bench.context import Context
from cnn_jax.bench.ours import bench_config, synthetic_dataset
from cnn_jax.data import Dataset
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.feed import OnDevice, TrainingData, TrainingFeed
from cnn_jax.train.loop import load_config_data

_IMAGES, _CLASSES, _WORKERS = 4096, 10, (0, 2)
_AUGMENT = ("flip", "pad_crop:4")


def against_grain(context: Context) -> None:
    """The same run of a linear classifier, whose step costs next to nothing, with the data in either place."""
    images, batch, calls = (200, 8, 2) if context.smoke else (_IMAGES, 128, 4)
    folder = write_folder(context.scratch / "images", images)
    base = bench_config(
        "linear:small", batch, data=f"folder:{folder}", validation=0.0, augment=_AUGMENT, log_every=calls * 4
    )
    device = _Fed(base, {"input": "device"}, calls)
    fed = {f"grain, {n} workers": _Fed(base, {"input": "stream", "workers": n}, calls) for n in _WORKERS}
    try:
        rows = {
            name: context.result.row(
                "linear:small",
                name,
                images=device.images,
                facts={
                    "batch_size": batch,
                    "augment": list(_AUGMENT),
                    "images": images,
                    "peer": "the same PNG files read and decoded by Grain while training; both augment in the step",
                },
            )
            for name in fed
        }
        sides: dict[str, Callable[[], float]] = {"ours": device.run}
        sides |= {name: side.run for name, side in fed.items()}
        context.measure("images into the step", sides, rows)
    finally:
        for side in (device, *fed.values()):
            side.close()


def write_folder(folder: Path, count: int) -> Path:
    """A folder of PNG images, `train/CLASS/N.png` and one `test` image a class."""
    from PIL import Image

    dataset = synthetic_dataset(count, (32, 32, 3), _CLASSES)
    train = dataset.splits["train"]
    one_each = train.take(np.unique(train.label, return_index=True)[1])  # both splits need every class
    for name, split in (("train", train), ("test", one_each)):
        for number, (image, label) in enumerate(zip(np.asarray(split.image), split.label, strict=True)):
            place = folder / name / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number}.png")
    return folder


class _Fed:
    """A run whose data comes from where the config says; it goes on from block to block."""

    def __init__(self, base: Any, changes: dict[str, Any], calls: int):
        config = base.copy_and_resolve_references()
        with config.unlocked():
            config.update(changes)
        self._config, self._calls, self._step = config, calls, 0
        dataset = load_config_data(config)
        self._program = build(config, DataSpec.of(dataset))
        self._state = self._program.layout.put(self._program.create_state(np.int32(0)))
        self._data = self._source(dataset)
        self.images = calls * self._program.max_steps * config.batch_size

    def _source(self, dataset: Dataset) -> TrainingData:
        split, layout = dataset.splits["train"], self._program.layout
        if not dataset.streamed:
            return OnDevice(split, layout)
        return TrainingFeed(
            split,
            layout,
            self._state.key,
            batch_size=self._config.batch_size,
            parts=1,
            block_steps=self._program.max_steps,
            steps=range(10**6),
            workers=self._config.workers,
        )

    def _call(self) -> None:
        steps = self._program.max_steps
        data = self._data.at(self._step)
        self._state, metrics, _ = self._program.run_steps(self._state, data, np.int32(steps))
        jax.block_until_ready(metrics)
        self._step += steps

    def run(self) -> float:
        """Seconds of a block of calls, after one that uses up what was read while the other side ran."""
        self._call()
        begun = time.perf_counter()
        for _ in range(self._calls):
            self._call()
        return time.perf_counter() - begun

    def close(self) -> None:
        """Ends what reads."""
        self._data.close()
