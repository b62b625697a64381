"""What a network answers on a split under a protocol: the log-probabilities of every class, each example once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.lazy import LazyImages
from cnn_jax.evaluate.protocols import Protocol
from cnn_jax.tasks import Variables
from cnn_jax.train.cache import runs_often

VIEWS_AT_ONCE = 256
"""How many views the network sees in one call, at most."""
PIXELS_AT_ONCE = 1 << 22
"""How many pixels they have, at most: 83 images of 224x224, whose first maps in VGG take about a gigabyte."""
_READERS = 4

Logits = Callable[[Variables, jax.Array], jax.Array]
"""`(variables, image uint8 [N, h, w, C]) -> float32 [N, K]`, a pure function."""
LogProbabilities = Callable[[Variables, jax.Array | np.ndarray], jax.Array]
"""`(variables, image uint8 [N, H, W, C]) -> float32 [N, K]`, compiled."""
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""`(images uint8 [N, H, W, C], index int [N]) -> images`: what is done to images before they are seen."""


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers on a split, in its order.

    Attributes:
        label: int `[N]`, the true class as the network numbers it.
        log_probability: float32 `[N, K]`, natural logarithms; a tie counts against the network wherever ranks matter.
    """

    label: np.ndarray
    log_probability: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def probability(self) -> np.ndarray:
        """float64 `[N, K]`, rows summing to 1."""
        return np.exp(self.log_probability.astype(np.float64))

    @property
    def prediction(self) -> np.ndarray:
        """int `[N]`: the likeliest class, the first of equals."""
        return self.log_probability.argmax(axis=1)

    @property
    def rank(self) -> np.ndarray:
        """int `[N]`: how many other classes are at least as likely as the true one; 0 is a right answer."""
        true = np.take_along_axis(self.log_probability, self.label[:, None], axis=1)
        return (~(self.log_probability < true)).sum(axis=1) - 1

    @property
    def right(self) -> np.ndarray:
        """bool `[N]`."""
        return self.rank < 1


def mean_of_views(
    protocol: Protocol, logits: Sequence[Callable[[Variables, jax.Array], jax.Array]]
) -> LogProbabilities:
    """The logarithm of the weighted mean of the views' probabilities.

    Args:
        protocol: the views.
        logits: `(variables, image) -> [N, K]` for each of its groups of views.
    """

    def log_probabilities(variables: Variables, images: jax.Array) -> jax.Array:
        terms = []
        for (views, weights), of_group in zip(protocol.views(images), logits, strict=True):
            number, batch = views.shape[:2]
            scores = of_group(variables, jnp.asarray(views).reshape(number * batch, *views.shape[2:]))
            each = jax.nn.log_softmax(scores).reshape(number, batch, -1)
            terms.append(each + jnp.log(jnp.asarray(weights, jnp.float32)).reshape(number, 1, 1))
        return jax.nn.logsumexp(jnp.concatenate(terms), axis=0)

    return jax.jit(log_probabilities, compiler_options=runs_often())


def answer(
    log_probabilities: LogProbabilities,
    variables: Variables,
    images: np.ndarray | LazyImages,
    label: np.ndarray,
    *,
    views: int = 1,
    change: Change | None = None,
    tell: Callable[[int], None] | None = None,
) -> Answers:
    """Asks a network about every image once. The last batch is filled up, and what fills it is dropped again.

    Args:
        log_probabilities: see there.
        variables: the network's.
        images: uint8 `[N, H, W, C]`, in memory or in their files.
        label: int `[N]`.
        views: how many views of an image there are; sets the size of a batch.
        change: what is done to images before, such as a corruption.
        tell: is told after every batch how many examples have been seen.
    """
    at_once = min(VIEWS_AT_ONCE, PIXELS_AT_ONCE // (images.shape[1] * images.shape[2]))
    size = max(1, min(at_once // views, len(label)))
    parts: list[np.ndarray] = []
    waiting: list[tuple[jax.Array, int]] = []

    def collect(left: int) -> None:
        while len(waiting) > left:
            result, count = waiting.pop(0)
            parts.append(np.asarray(result)[:count])
            if tell is not None:
                tell(sum(map(len, parts)))

    for index, batch in _batches(images, size):
        batch = batch if change is None else change(batch, index)
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        waiting.append((log_probabilities(variables, filled), len(batch)))
        # One batch is read while the one before is computed.
        collect(1)
    collect(0)
    found = np.concatenate(parts)
    assert len(found) == len(label), f"{len(found)} answers to {len(label)} examples"
    return Answers(np.asarray(label), found)


def ensemble(members: Sequence[Answers]) -> Answers:
    """The mean of several networks' probabilities on the same examples (Krizhevsky et al. 2012, section 7.2 on).

    Args:
        members: their answers.
    """
    first = members[0]
    assert all(np.array_equal(first.label, member.label) for member in members), "members saw other examples"
    stacked = np.stack([member.log_probability.astype(np.float64) for member in members])
    return Answers(first.label, (np.logaddexp.reduce(stacked) - np.log(len(members))).astype(np.float32))


def _batches(images: Any, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The examples' numbers and the images of one batch after another."""
    if not isinstance(images, LazyImages):
        for start in range(0, len(images), size):
            part = np.asarray(images[start : start + size])
            yield np.arange(start, start + len(part)), part
        return
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(images), size):
            index = np.arange(start, min(start + size, len(images)))
            yield index, np.stack(list(pool.map(images.read, index.tolist())))
