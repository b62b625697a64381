"""A whole split, every example exactly once, as a compiled loop."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax.tasks import Batch, Metrics, Task, Variables
from cnn_jax.train.parallel import Layout

Evaluate = Callable[[Variables, Batch], dict[str, float]]

# Batches in one compiled call: long enough to hide the call, short enough to answer a signal.
_BATCHES_PER_CALL = 16


def make_evaluate(task: Task, *, batch_size: int, layout: Layout) -> Evaluate:
    """Compiles `evaluate(variables, data) -> metrics`.

    The tail of the split is padded to a whole batch and masked, so that every example counts exactly once.

    Args:
        task: what is measured.
        batch_size: examples in one batch over all devices.
        layout: the devices. Evaluation is one program over the mesh also where training is mapped.

    Returns:
        A function of the variables and the split `{"image": uint8 [N, H, W, C], "label": int32 [N]}`; it returns means
        over the examples, and their number `n`.
    """
    mesh = layout._replace(mapped=False)

    @jax.jit
    def evaluate_batches(variables: Variables, data: Batch, first: jax.Array, last: jax.Array) -> Metrics:
        num_examples = len(data["label"])

        def batch_at(i: jax.Array) -> Batch:
            index = i * batch_size + jnp.arange(batch_size)
            valid = index < num_examples
            index = jnp.minimum(index, num_examples - 1)
            batch = {"image": data["image"][index], "label": data["label"][index], "valid": valid}
            return mesh.constrain(batch)

        def body(i: jax.Array, sums: Metrics) -> Metrics:
            return jax.tree.map(jnp.add, sums, task.metrics(variables, batch_at(i)))

        sums = jax.eval_shape(lambda: task.metrics(variables, batch_at(jnp.int32(0))))
        return jax.lax.fori_loop(first, last, body, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sums))

    def evaluate(variables: Variables, data: Batch) -> dict[str, float]:
        num_examples = len(data["label"])
        num_batches = -(-num_examples // batch_size)
        totals: dict[str, float] = {}
        for first in range(0, num_batches, _BATCHES_PER_CALL):
            last = min(first + _BATCHES_PER_CALL, num_batches)
            sums = jax.device_get(evaluate_batches(variables, data, jnp.int32(first), jnp.int32(last)))
            totals = {name: totals.get(name, 0.0) + float(value) for name, value in sums.items()}
        count = totals.pop("count")
        assert count == num_examples, f"{count} examples were counted of {num_examples}"
        return {name: value / count for name, value in totals.items()} | {"n": int(count)}

    return evaluate
