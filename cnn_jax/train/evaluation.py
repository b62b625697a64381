"""A whole split, every example exactly once, as a compiled loop or batch by batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from cnn_jax.data.lazy import LazyImages
from cnn_jax.tasks import Batch, Metrics, Task, Variables
from cnn_jax.train.cache import runs_often
from cnn_jax.train.feed import EvaluationFeed
from cnn_jax.train.kept import Shelf
from cnn_jax.train.parallel import Layout
from cnn_jax.train.together import WAYS, Many, side_by_side

EvaluationData = Batch | EvaluationFeed
"""A split on the devices, `{"image": uint8 [N, H, W, C], "label": int32 [N]}`, or the batches of one in its files."""

# Batches in one compiled call: long enough to hide the call, short enough to answer a signal.
_BATCHES_PER_CALL = 16


class Evaluate:
    """Compiles `evaluate(variables, data) -> metrics`.

    The tail of the split is padded to a whole batch and masked, so that every example counts exactly once.

    Args:
        task: what is measured.
        batch_size: examples in one batch over all devices.
        layout: the devices. Evaluation is one program over the mesh also where training is mapped.
        shelf: keeps what is compiled for other processes.
    """

    def __init__(self, task: Task, *, batch_size: int, layout: Layout, shelf: Shelf | None = None):
        self._batch_size = batch_size
        self._layout = mesh = layout._replace(mapped=False)

        def zeros(sums: Metrics) -> Metrics:
            return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sums)

        def evaluate_batches(variables: Variables, data: Batch, first: jax.Array, last: jax.Array) -> Metrics:
            num_examples = len(data["label"])
            metrics = jax.jit(task.metrics, inline=True)  # traced once, for its shapes and for the loop

            def batch_at(i: jax.Array) -> Batch:
                index = i * batch_size + jnp.arange(batch_size)
                valid = index < num_examples
                index = jnp.minimum(index, num_examples - 1)
                batch = {"image": data["image"][index], "label": data["label"][index], "valid": valid}
                return mesh.constrain(batch)

            def body(i: jax.Array, sums: Metrics) -> Metrics:
                return jax.tree.map(jnp.add, sums, metrics(variables, batch_at(i)))

            sums = jax.eval_shape(lambda: metrics(variables, batch_at(jnp.int32(0))))
            return jax.lax.fori_loop(first, last, body, zeros(sums))

        def add_batch(variables: Variables, sums: Metrics, batch: Batch) -> Metrics:
            return jax.tree.map(jnp.add, sums, task.metrics(variables, batch))

        def no_sums(variables: Variables, batch: Batch) -> Metrics:
            return zeros(jax.eval_shape(task.metrics, variables, batch))

        self._batches, self._shelf = evaluate_batches, shelf or Shelf()
        batches = jax.jit(evaluate_batches, out_shardings=mesh.replicated, compiler_options=runs_often())
        self._evaluate_batches = self._shelf.function("evaluate", batches)
        self._add_batch = jax.jit(
            add_batch, donate_argnums=(1,), out_shardings=mesh.replicated, compiler_options=runs_often()
        )
        self._no_sums = jax.jit(no_sums, out_shardings=mesh.replicated)

    def put(self, split: Split, workers: int = 0) -> EvaluationData:
        """A split as `evaluate` takes it: on the devices, or left in its files, to be read by `workers` processes."""
        if isinstance(split.image, LazyImages):
            return EvaluationFeed(split, self._layout, self._batch_size, workers)
        return self._layout.put({"image": split.image, "label": split.label})

    def __call__(self, variables: Variables, data: EvaluationData) -> dict[str, float]:
        """Means over the examples, and their number `n`."""
        if isinstance(data, EvaluationFeed):
            return _means(self._sums_of_feed(variables, data), data.num_examples)
        calls = (self._evaluate_batches(variables, data, *call) for call in self._calls(data))
        return _means(calls, len(data["label"]))

    def of_many(self, way: str) -> Callable[[list[Variables], Batch], list[dict[str, float]]]:
        """The same for the variables of several members, together in a way of `WAYS`; of a split on the device."""
        if way == "calls":
            many: Many = functools.partial(side_by_side, self._evaluate_batches)
        else:
            many = self._shelf.function(f"evaluate by {way}", WAYS[way](self._batches, ()))

        def evaluate(variables: list[Variables], data: Batch) -> list[dict[str, float]]:
            calls = [many(variables, data, *call) for call in self._calls(data)]
            return [_means(sums, len(data["label"])) for sums in zip(*calls, strict=True)]

        return evaluate

    def _calls(self, data: Batch) -> Iterator[tuple[np.int32, np.int32]]:
        """First and last batch of every call."""
        num_batches = -(-len(data["label"]) // self._batch_size)
        for first in range(0, num_batches, _BATCHES_PER_CALL):
            yield np.int32(first), np.int32(min(first + _BATCHES_PER_CALL, num_batches))

    def _sums_of_feed(self, variables: Variables, data: EvaluationFeed) -> Iterator[Metrics]:
        # Added up in the order of the compiled loop, so that the sums are the same to the last bit.
        sums = None
        for i, batch in enumerate(data.batches()):
            if sums is None or i % _BATCHES_PER_CALL == 0:
                if sums is not None:
                    yield sums
                sums = self._no_sums(variables, batch)
            sums = self._add_batch(variables, sums, batch)
        assert sums is not None, "a split is not empty"
        yield sums


def _means(calls: Iterable[Metrics], num_examples: int) -> dict[str, float]:
    totals: dict[str, float] = {}
    for sums in map(jax.device_get, calls):
        totals = {name: totals.get(name, 0.0) + float(value) for name, value in sums.items()}
    count = totals.pop("count")
    assert count == num_examples, f"{count} examples were counted of {num_examples}"
    return {name: value / count for name, value in totals.items()} | {"n": int(count)}
