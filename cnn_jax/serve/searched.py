"""The training images among which neighbours are searched, and their features, computed once."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from cnn_jax.errors import CnnJaxError, DataError
from cnn_jax.evaluate import Examples
from cnn_jax.evaluate.images import class_name
from cnn_jax.inspect.neighbours import nearest_of
from cnn_jax.inspect.network import BATCH, Network, batches, features, last_hidden, tap_shapes

MEMORY = 2**32
"""Bytes that the features may take."""
TRAIN = "train"
_PART = 1024

Progress: TypeAlias = Callable[[], contextlib.AbstractContextManager[Callable[[str, int, int], Any]]]
"""Opens a bar that is told `(what, done, total)`."""


class Searched:
    """Training images with the features of their last hidden layer.

    The features are computed in a thread of their own while the server already answers; until they are all there,
    nothing is searched, since the nearest of a part are not the nearest.

    Args:
        network: whose features.
        seen: the data, its split `train`.

    Raises:
        ConfigError: a network without hidden layers.
        DataError: more features than memory.
    """

    def __init__(self, network: Network, seen: Examples):
        self.network, self._seen = network, seen
        self._images = seen.parts[TRAIN].image
        self._label = seen.label(TRAIN)
        shape = (*seen.image_size, seen.channels)
        self.tap = last_hidden(network, shape)
        width = math.prod(tap_shapes(network, shape)[self.tap])
        if len(seen) * width * 4 > MEMORY:
            raise DataError(
                307,
                f"{len(seen)} training images have {len(seen) * width * 4 / 2**30:.1f} GiB of features in {self.tap}, "
                f"more than {MEMORY // 2**30} GiB: name less data with --data, or start with --no_neighbours",
            )
        self._features = np.zeros((len(seen), width), np.float32)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.done = 0
        self.fault: str | None = None

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def complete(self) -> bool:
        """Whether all features are there."""
        return self.done == len(self)

    def start(self, progress: Progress) -> None:
        """Begins to compute, once; what is there already is kept."""
        if self._thread is None and not self.complete:
            self._stop.clear()
            self._thread = threading.Thread(target=self._guarded, args=(progress,), name="features", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the computation after the batch that it is at."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def compute(self, tell: Callable[[str, int, int], Any]) -> None:
        """Computes all features, or until it is stopped.

        Raises:
            DataError: an image can no longer be read.
        """
        while self.done < len(self) and not self._stop.is_set():
            images = self.image_batch(self.done)
            found = features(self.network, images, self.tap)
            self._features[self.done : self.done + len(images)] = found.reshape(len(images), -1)
            self.done += len(images)
            tell("features of the training images", self.done, len(self))

    def image_batch(self, start: int) -> np.ndarray:
        """Images from this number on as the network takes them, uint8 [<= 128, H, W, C]."""
        return self._seen.prepared(np.asarray(self._images[start : start + BATCH]))

    def image(self, index: int) -> np.ndarray:
        """One image as the network takes it, uint8 [H, W, C]."""
        return self._seen.image(index)

    def nearest(self, image: np.ndarray) -> list[dict[str, Any]] | None:
        """The training images nearest to one image, nearest first; None until all features are there.

        Args:
            image: uint8 [H, W, C].

        Returns:
            `{"train": number, "class", "label", "distance"}` of each.
        """
        if not self.complete:
            return None
        found = nearest_of(features(self.network, image[None], self.tap), batches(self._features, _PART))
        return [
            {
                "train": int(place),
                "class": class_name(self.network.classes, int(self._label[place])),
                "label": int(self._label[place]),
                "distance": float(distance),
            }
            for place, distance in zip(found.place[0], found.distance[0], strict=True)
        ]

    def _guarded(self, progress: Progress) -> None:
        try:
            with progress() as tell:
                self.compute(tell)
        except CnnJaxError as error:
            self.fault = str(error)
        except Exception as error:
            # Nobody waits for this thread: what ended it is told on the page and in the log.
            logging.getLogger(__name__).exception("the features of the training images cannot be computed")
            self.fault = f"{type(error).__name__} while the features were computed: see the terminal"
