"""Data to the devices: all of it at the start, or block after block while the block before is trained on.

On the host the images of a feed take at most `host_bytes(...)`: three blocks (one being filled, one on its way, one
let go of), one batch in hand, and of every reading process the batch that it reads, the `WORKER_BUFFER` it has ready
and one on its way, and as many again on this side. Two blocks lie on the devices; where these are CPUs, on top of it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

import jax
import numpy as np

from cnn_jax.data import Split
from cnn_jax.data.grain_batches import WORKER_BUFFER, Batches, evaluation_batches, training_batches
from cnn_jax.data.order import HostOrder, key_of_order
from cnn_jax.data.readers import Readers
from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.tasks import Batch
from cnn_jax.train.parallel import Layout

BLOCK_BYTES = 64 * 2**20
"""A block of batches is as long as a compiled call, and shorter where it would be larger than this."""

_T = TypeVar("_T")


def steps_per_block(max_steps: int, batch_size: int, image_shape: tuple[int, ...]) -> int:
    """How many batches a block holds."""
    return max(1, min(max_steps, BLOCK_BYTES // (batch_size * int(np.prod(image_shape)))))


def host_bytes(batch_bytes: int, block_steps: int, workers: int) -> int:
    """The most that the images of a feed take on the host."""
    return batch_bytes * (3 * block_steps + 1 + workers * 2 * (WORKER_BUFFER + 2))


class TrainingData(Protocol):
    """What the loop asks of the training split."""

    def at(self, step: int) -> Batch:
        """What `run_steps` takes at a step."""
        ...

    def steps_left(self, step: int) -> int | None:
        """How many steps may follow before other data is needed; None for any number."""
        ...

    def position(self, step: int) -> dict[str, Any] | None:
        """Where the data stands, for a checkpoint."""
        ...

    def close(self) -> None:
        """Ends whatever reads."""
        ...


class OnDevice:
    """The whole training split on every device.

    Args:
        split: the split, in memory.
        layout: the devices.
    """

    def __init__(self, split: Split, layout: Layout):
        self._data = layout.put({"image": split.image, "label": split.label})

    def at(self, step: int) -> Batch:
        """The split."""
        return self._data

    def steps_left(self, step: int) -> int | None:
        """Any number."""
        return None

    def position(self, step: int) -> dict[str, Any] | None:
        """Nothing that the step does not say."""
        return None

    def close(self) -> None:
        """Nothing."""


class TrainingFeed:
    """The training split in its files, read ahead of training.

    Args:
        split: its images are `LazyImages`.
        layout: the devices.
        key: the run's key; the order follows from it.
        batch_size: B.
        parts: A, in how many parts a batch is computed.
        block_steps: K, batches of a block.
        steps: the steps to come.
        workers: processes that read.

    Raises:
        ConfigError: JAX was told to use other random numbers than its own.
    """

    def __init__(
        self,
        split: Split,
        layout: Layout,
        key: jax.Array,
        *,
        batch_size: int,
        parts: int,
        block_steps: int,
        steps: range,
        workers: int,
    ):
        if str(jax.random.key_impl(key)) != "threefry2x32" or not jax.config.jax_threefry_partitionable:  # type: ignore[attr-defined]
            raise ConfigError(
                145,
                "config.input=stream needs JAX's default random numbers (threefry2x32, partitionable): leave "
                "jax_default_prng_impl and jax_threefry_partitionable as they are, or set config.input=device",
            )
        order_key = key_of_order(np.asarray(jax.random.key_data(key)))
        self._layout, self._block_steps, self._steps = layout, block_steps, steps
        self._batch_size, self._order = batch_size, HostOrder(order_key, len(split))
        self._rows = layout.rows(batch_size, parts)
        self._batches = training_batches(
            split, order_key, batch_size=batch_size, rows=self._rows.reshape(-1), steps=steps, workers=workers
        )
        self._blocks = Ahead(self._read_blocks(), self._batches)
        self._block: tuple[int, Batch] | None = None

    def at(self, step: int) -> Batch:
        """The block that holds the step."""
        number = step // self._block_steps
        if self._block is None or self._block[0] != number:
            self._block = None  # lets go of the old one before the next is waited for
            self._block = next(self._blocks)
            assert self._block[0] == number, "blocks are asked for in order"
        return self._block[1]

    def steps_left(self, step: int) -> int | None:
        """Until the end of the block."""
        return self._block_steps - step % self._block_steps

    def position(self, step: int) -> dict[str, Any]:
        """Examples seen so far, and which come next: what a resumed run must find again."""
        position = step * self._batch_size
        return {"position": position, "next": [self._order.at(position + i)[0] for i in range(4)]}

    def check(self, step: int, stored: dict[str, Any] | None) -> None:
        """Compares with the position in a checkpoint.

        Raises:
            CheckpointError: the stream would go on with other examples.
        """
        if stored is not None and stored != self.position(step):
            raise CheckpointError(
                140,
                f"step {step}: the checkpoint goes on at example {stored['position']} with {stored['next']}, this "
                f"version of JAX and of the code with {self.position(step)['next']}: resume with those that made it",
            )

    def close(self) -> None:
        """Ends the processes that read."""
        self._blocks.close()

    def _read_blocks(self) -> Iterator[tuple[int, Batch]]:
        block: dict[str, np.ndarray] = {}
        for step in self._steps:
            batch = next(self._batches)
            at = step % self._block_steps
            block = block or {name: self._empty(values) for name, values in batch.items()}
            for name, values in batch.items():
                rows = values.reshape(*self._rows.shape, *values.shape[1:])
                (block[name].swapaxes(0, 1) if self._layout.mapped else block[name])[at] = rows
            if at == self._block_steps - 1 or step == self._steps[-1]:
                yield step // self._block_steps, self._layout.put_rows(block)
                block = {}

    def _empty(self, values: np.ndarray) -> np.ndarray:
        lead = self._rows.shape
        shape = (lead[0], self._block_steps, *lead[1:]) if self._layout.mapped else (self._block_steps, *lead)
        return np.zeros((*shape, *values.shape[1:]), values.dtype)


class EvaluationFeed:
    """A split in its files, to be evaluated as often as one likes; the processes that read stay for the next time.

    Args:
        split: its images are `LazyImages`.
        layout: the devices, one program over all of them.
        batch_size: examples of a batch over all devices.
        workers: processes that read.
    """

    def __init__(self, split: Split, layout: Layout, batch_size: int, workers: int):
        self.num_examples = len(split)
        self._split, self._layout, self._batch_size, self._workers = split, layout, batch_size, workers
        self._ahead: Ahead[Batch] | None = None

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass on the devices: `image`, `label` and `valid`."""
        if self._ahead is None:
            rows = self._layout.rows(self._batch_size).reshape(-1)
            host = evaluation_batches(self._split, batch_size=self._batch_size, rows=rows, workers=self._workers)
            self._ahead = Ahead(map(self._put, host), host)
        for _ in range(-(-self.num_examples // self._batch_size)):
            yield next(self._ahead)

    def close(self) -> None:
        """Ends the processes that read."""
        if self._ahead is not None:
            self._ahead.close()

    def _put(self, batch: dict[str, np.ndarray]) -> Batch:
        return self._layout.put_batch(batch)


class Ahead(Generic[_T]):
    """Runs an iterator in a thread of its own, one item ahead of whoever asks, and watches over its readers.

    Args:
        items: what to iterate over.
        batches: where `items` come from.
    """

    def __init__(self, items: Iterator[_T], batches: Batches):
        self._items, self._batches = items, batches
        self._ready: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()
        self._wanted, self._closed = threading.Semaphore(1), False
        self._thread = threading.Thread(target=self._run, name="data", daemon=True)
        self._thread.start()

    def __next__(self) -> _T:
        readers: Readers = self._batches.readers
        while True:
            try:
                item, error = self._ready.get(timeout=1)
                break
            except queue.Empty:
                readers.check()
        readers.reset()
        self._wanted.release()
        if error is not None:
            raise error
        return item  # type: ignore[return-value]

    def close(self) -> None:
        """Ends the thread and the processes that read, and lets go of what they have read."""
        self._closed = True
        self._wanted.release()
        self._batches.close()
        self._thread.join(1)
        self._items = iter(())
        while not self._ready.empty():
            self._ready.get()

    def _run(self) -> None:
        try:
            while not self._closed:
                self._wanted.acquire()
                if not self._closed:
                    self._ready.put((next(self._items), None))
        except BaseException as error:  # whoever asks next raises it
            if not self._closed:
                self._ready.put((None, error))
