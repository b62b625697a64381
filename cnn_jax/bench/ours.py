"""Our side: the program that `cnn-jax train` runs, on synthetic images that lie on the device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from cnn_jax.bench.peer import STEPS, Job
from cnn_jax.config import resolve
from cnn_jax.data import Dataset, Split
from cnn_jax.data.order import HostOrder, key_of_order
from cnn_jax.ops import plain_ops
from cnn_jax.train.build import DataSpec, Program, build
from cnn_jax.train.epoch import RunSteps, make_steps
from cnn_jax.train.state import TrainState

# So low that rounding does not grow into different losses within five steps of a network with batch norm, and high
# enough that a missing momentum shows.
LEARNING_RATE, MOMENTUM = 0.003, 0.9
_FOREVER = 10**6  # steps; the schedule is constant


def synthetic_dataset(count: int, shape: tuple[int, int, int], num_classes: int, seed: int = 0) -> Dataset:
    """Noise of every brightness, each class around one of its own, so that a loss falls as it does on images."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, num_classes, count).astype(np.int32)
    level = (label.astype(np.float32) / num_classes * 128).astype(np.uint8).reshape(-1, 1, 1, 1)
    image = rng.integers(0, 128, (count, *shape), dtype=np.uint8) + level
    split = Split(image, label)
    classes = tuple(f"class {i}" for i in range(num_classes))
    return Dataset(f"synthetic {count}", classes, {"train": split, "test": split.take(np.arange(1))}, f"{seed:x}")


def bench_config(model: str, batch_size: int, **changes: Any) -> Any:
    """A config of SGD with momentum at a constant rate, on one device."""
    return resolve(
        {
            "model.name": model,
            "batch_size": batch_size,
            "total_steps": _FOREVER,
            "log_every": 10**4,
            "num_devices": 1,
            "optimizer.name": "momentum",
            "optimizer.learning_rate": LEARNING_RATE,
            "optimizer.momentum": MOMENTUM,
            "schedule.name": "constant",
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
    )


class Ours:
    """A training run of ours that can be begun again and timed.

    Args:
        config: what is trained.
        dataset: its data; the longest call is one pass over them.
        plain: whether to trace the textbook `lax` operations instead of ours, as a peer.
        timed: whether to find out how long compiling takes; else nothing is compiled yet.
    """

    def __init__(self, config: Any, dataset: Dataset, *, plain: bool = False, timed: bool = True):
        self.config, self.dataset, self._plain = config, dataset, plain
        self.spec = DataSpec.of(dataset)
        self.program: Program = build(config, self.spec)
        # Programs are shared by config, so the plain one has to be a program of its own.
        self._run_steps = _plain_run_steps(self.program, config.batch_size) if plain else self.program.run_steps
        split = dataset.splits["train"]
        self._data = self.program.layout.put({"image": split.image, "label": split.label})
        self.batches = len(split) // config.batch_size  # a data set of ours is whole batches
        self.state: TrainState
        self.load()
        self.compile_seconds = self._first_call() if timed else 0.0

    def load(self) -> None:
        """The initial weights."""
        self.state = self.initial()

    def initial(self) -> TrainState:
        """The state before the first step, made anew: runs donate theirs."""
        return self.program.layout.put(self.program.create_state(np.int32(self.config.seed)))

    def call(self, steps: int) -> dict[str, Any]:
        """So many steps, at most one pass over the data, as one compiled call; metrics, one a step, on the device."""
        with plain_ops() if self._plain else contextlib.nullcontext():
            self.state, metrics, _ = self._run_steps(self.state, self._data, np.int32(steps))
        return metrics

    def losses(self, steps: int = STEPS + 1) -> list[float]:
        """Losses of the first steps from the initial weights on."""
        self.load()
        found = [self.call(1)["loss"][0] for _ in range(steps)]
        return [float(loss) for loss in found]

    def run(self, steps: int) -> float:
        """Seconds of so many steps, after one that is not counted."""
        jax.block_until_ready(self.call(1))
        started, metrics = time.perf_counter(), None
        while steps > 0:
            call = min(steps, self.batches)
            metrics = self.call(call)
            steps -= call
        jax.block_until_ready((self.state.params, metrics))
        return time.perf_counter() - started

    def _first_call(self) -> float:
        """How much longer the first call takes than the second: compiling."""
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            jax.block_until_ready(self.call(1))
            seconds.append(time.perf_counter() - started)
        return max(0.0, seconds[0] - seconds[1])

    def weights(self) -> dict[str, np.ndarray]:
        """The initial arrays by path."""
        self.load()
        flat = traverse_util.flatten_dict({"params": self.state.params, **self.state.model_state}, sep="/")
        return {name: np.asarray(array) for name, array in flat.items()}

    def batch_index(self, step: int) -> np.ndarray:
        """Which examples a step sees: int [B]."""
        size = self.config.batch_size
        order = HostOrder(key_of_order(np.asarray(jax.random.key_data(self.state.key))), self.batches * size)
        return np.asarray([order.at(step * size + i)[0] for i in range(size)])

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch that a step sees: normalised images, float32 [B, H, W, C], and labels, int32 [B]."""
        split, index = self.dataset.splits["train"], self.batch_index(step)
        assert isinstance(split.image, np.ndarray)
        mean, std = (np.asarray(values, np.float32) * 255 for values in (self.spec.mean, self.spec.std))
        return (split.image[index].astype(np.float32) - mean) / std, split.label[index]

    def job(self, threads: int, weights: Mapping[str, np.ndarray] | None = None, **options: Any) -> Job:
        """The same work for a peer: the same weights, and the batches of the first pass in the same order.

        Args:
            threads: that the peer may use.
            weights: the initial weights in another form than `weights()`.
            **options: what else the peer is told.
        """
        weights = self.weights() if weights is None else weights
        images, labels = zip(*(self.batch(step) for step in range(self.batches)), strict=True)
        return Job(
            str(self.config.model.name),
            weights,
            np.stack(images),
            np.stack(labels),
            self.config.optimizer.learning_rate,
            self.config.optimizer.momentum,
            threads,
            options,
        )


def _plain_run_steps(program: Program, batch_size: int) -> RunSteps:
    steps = make_steps(
        program.recipe,
        lambda key, epoch, index, batch: batch,
        batch_size=batch_size,
        max_steps=program.max_steps,
        layout=program.layout,
    )
    return jax.jit(steps, donate_argnums=(0,))  # as it is usually written, with XLA's own choice of kernels
