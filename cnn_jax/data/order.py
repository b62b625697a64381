"""The order of `stream.py` again, in NumPy: for processes that read data and have no business with JAX's devices.

JAX draws its permutations from Threefry-2x32 counters (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3", section 3.3). The same few lines give the same bits anywhere; a test holds them to `stream.py`.
"""

from __future__ import annotations

import functools
import math

import numpy as np

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


class HostOrder:
    """Which example stands at a position of the stream.

    Args:
        key: uint32 `[2]`, the data of the key that `stream.order_from` is given.
        num_examples: N, examples in an epoch.
    """

    def __init__(self, key: np.ndarray, num_examples: int):
        self._key = (int(key[0]), int(key[1]))
        self._num_examples = num_examples

    def at(self, position: int) -> tuple[int, int]:
        """The index of the example at a stream position, and the epoch that it belongs to."""
        epoch, place = divmod(position, self._num_examples)
        return int(_permutation(self._key, epoch, self._num_examples)[place]), epoch


def key_of_order(key: np.ndarray) -> np.ndarray:
    """From the data of a run's key to that of the key of its order, as `train/epoch.py` derives it: uint32 `[2]`."""
    return _split(_fold_in(_words(key), 2**32 - 1))[0]


# Two epochs meet in a batch, and batches of two phases (training, a look ahead) may be asked for in turn.
@functools.lru_cache(maxsize=4)
def _permutation(key: tuple[int, int], epoch: int, count: int) -> np.ndarray:
    """`jax.random.permutation(fold_in(key, epoch), count)`: sorted by random numbers until ties hardly matter."""
    order, folded = np.arange(count, dtype=np.int32), _fold_in(_words(np.asarray(key)), epoch)
    for _ in range(math.ceil(3 * math.log(max(1, count)) / math.log(2**32 - 1))):
        folded, subkey = _split(folded)
        first, second = _threefry(subkey, np.zeros(count, np.uint32), np.arange(count, dtype=np.uint32))
        order = order[np.argsort(first ^ second, kind="stable")]
    return order


def _words(key: np.ndarray) -> np.ndarray:
    return np.asarray(key).astype(np.uint32)


def _fold_in(key: np.ndarray, data: int) -> np.ndarray:
    return np.concatenate(_threefry(key, np.zeros(1, np.uint32), np.asarray([data], np.uint32)))


def _split(key: np.ndarray) -> np.ndarray:
    return np.stack(_threefry(key, np.zeros(2, np.uint32), np.arange(2, dtype=np.uint32)), axis=1)


def _threefry(key: np.ndarray, high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twenty rounds on counters `(high, low)`, uint32 of one shape."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    x, y = high + schedule[0], low + schedule[1]
    for injection in range(5):
        for rotation in _ROTATIONS[injection % 2]:
            x = x + y
            y = ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))) ^ x
        x = x + schedule[(injection + 1) % 3]
        y = y + (schedule[(injection + 2) % 3] + np.uint32(injection + 1))
    return x, y
