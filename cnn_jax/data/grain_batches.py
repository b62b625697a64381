"""Batches of a data set that stays in its files, read by Grain in this process or in several.

What stands at which place of the stream is a function of (seed, position) and of nothing else (`order.py`), so neither
the number of processes nor a restart changes it, and the position is all that a checkpoint has to know.
"""

from __future__ import annotations

import abc
import functools
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Split
from cnn_jax.data.lazy import LazyImages
from cnn_jax.data.order import HostOrder
from cnn_jax.data.readers import Reader, Readers
from cnn_jax.errors import CnnJaxError

WORKER_BUFFER = 1
"""Batches that a process has ready, besides the one it is reading. Grain keeps as many again in this process."""

_END_SECONDS = 5

HostBatch = dict[str, Any]
"""NumPy arrays by name."""


class Batches(Iterator[HostBatch]):
    """An endless or long stream of batches. One thread may iterate while another calls `readers.check()`.

    Args:
        examples: gives the stream's examples by their place, and its length; picklable.
        size: examples of a batch.
        workers: processes that read; 0 reads in this one.
        repeat: whether the stream begins again at its end.
    """

    def __init__(self, examples: _Examples, size: int, workers: int, *, repeat: bool = False):
        import grain  # two seconds, of no use to those whose data is in memory
        from absl import flags

        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain asks absl for flags, which this program has none of
        self.readers = Readers(examples.name)
        examples.reader = reader = Reader(self.readers.directory)
        batches = grain.MapDataset.source(examples).batch(size, drop_remainder=True)
        if repeat:
            batches = batches.repeat()
        stream = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        if workers:
            options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=WORKER_BUFFER)
            # Through pipes: shared memory is small in containers, and Grain leaves some of it behind.
            pipes = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
            stream = grain.experimental.WithOptionsIterDataset(stream, pipes)
            stream = stream.mp_prefetch(options, worker_init_fn=functools.partial(_begin, reader, os.getpid()))
        _ignore_pillow()
        self._iterator: Any = iter(stream)

    def __next__(self) -> HostBatch:
        try:
            return next(self._iterator)
        except (StopIteration, CnnJaxError):
            raise
        except RuntimeError as error:
            raise self.readers.died(error) from error

    def close(self) -> None:
        """Ends the processes, in order if they let themselves be ended in time."""
        # Let go of here: what Grain is left with at the interpreter's end it cannot clear away.
        iterator, self._iterator = self._iterator, _Closed()
        ending = threading.Thread(target=iterator.close, daemon=True)
        ending.start()
        ending.join(_END_SECONDS)
        if ending.is_alive():
            self.readers.kill()


def training_batches(
    split: Split,
    key: np.ndarray,
    *,
    batch_size: int,
    rows: np.ndarray,
    steps: range,
    workers: int,
) -> Batches:
    """The batches of training, from the first of `steps` on.

    Args:
        split: the training split, its images `LazyImages`.
        key: uint32 `[2]`, the key of the order, see `key_of_order`.
        batch_size: B, examples of a whole batch.
        rows: int `[R]`, which of them are read here, in the order wanted.
        steps: the steps to come.
        workers: processes that read.

    Returns:
        Batches of `image` uint8 `[R, H, W, C]`, `label`, `index` (in the split) and `epoch`, each int32 `[R]`.
    """
    order = HostOrder(key, len(split))
    return Batches(_Training(split, order, batch_size, rows, steps), len(rows), workers)


def evaluation_batches(split: Split, *, batch_size: int, rows: np.ndarray, workers: int) -> Batches:
    """A whole split in order, padded to whole batches, again and again.

    Args:
        split: its images are `LazyImages`.
        batch_size: B, examples of a whole batch.
        rows: int `[R]`, which of them are read here.
        workers: processes that read.

    Returns:
        Batches of `image`, `label` and `valid`, bool `[R]`: false where the split has ended and its last example fills
        up the batch.
    """
    return Batches(_Evaluation(split, batch_size, rows), len(rows), workers, repeat=True)


class _Closed(Iterator[HostBatch]):
    """Stands where the iterator of closed batches stood."""

    def __next__(self) -> HostBatch:
        raise StopIteration

    def close(self) -> None:
        """Nothing."""


class _Examples(abc.ABC):
    """Examples by their place in a stream; Grain asks for `len` and `[]`."""

    def __init__(self, split: Split):
        assert isinstance(split.image, LazyImages)
        self._image, self._label = split.image.without_moments(), split.label
        self.reader: Reader | None = None

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def __getitem__(self, index: int) -> HostBatch: ...

    def name(self, index: int) -> str:
        """An example's name in messages."""
        return self._image.name(index)

    def read(self, example: int) -> HostBatch:
        """The image and label of one example."""
        if self.reader is not None:
            self.reader.at(example)
        return {"image": self._image.read(example), "label": self._label[example]}


class _Training(_Examples):
    def __init__(self, split: Split, order: HostOrder, batch_size: int, rows: np.ndarray, steps: range):
        super().__init__(split)
        self._order, self._batch_size, self._rows, self._steps = order, batch_size, rows, steps

    def __len__(self) -> int:
        return len(self._steps) * len(self._rows)

    def __getitem__(self, index: int) -> HostBatch:
        step, row = divmod(index, len(self._rows))
        example, epoch = self._order.at(self._steps[step] * self._batch_size + int(self._rows[row]))
        return {**self.read(example), "index": np.int32(example), "epoch": np.int32(epoch)}


class _Evaluation(_Examples):
    def __init__(self, split: Split, batch_size: int, rows: np.ndarray):
        super().__init__(split)
        self._batch_size, self._rows = batch_size, rows
        self._num_batches = -(-len(split) // batch_size)

    def __len__(self) -> int:
        return self._num_batches * len(self._rows)

    def __getitem__(self, index: int) -> HostBatch:
        batch, row = divmod(index, len(self._rows))
        position = batch * self._batch_size + int(self._rows[row])
        last = len(self._label) - 1
        return {**self.read(min(position, last)), "valid": np.bool_(position <= last)}


def _begin(reader: Reader, parent: int, worker: int, workers: int) -> None:
    reader.at()
    _ignore_pillow()
    # Grain's processes outlive a parent that is killed, and wait for ever.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def _ignore_pillow() -> None:
    """Odd files were looked at when the data was measured; here they would warn at every start."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
