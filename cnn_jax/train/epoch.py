"""Many steps as one compiled call, over a data set that lies on the device or over batches that are fed to it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.data.stream import batch_at, order_from
from cnn_jax.tasks import Batch, Metrics
from cnn_jax.train.augment import Augment
from cnn_jax.train.parallel import AXIS, Layout
from cnn_jax.train.state import TrainState, is_finite
from cnn_jax.train.step import Recipe, train_step

RunSteps = Callable[[TrainState, Batch, Any], tuple[TrainState, Metrics, Any]]


def make_steps(
    recipe: Recipe,
    augment: Augment,
    *,
    batch_size: int,
    max_steps: int,
    layout: Layout,
    streamed: bool = False,
) -> RunSteps:
    """`run_steps(state, data, num_steps) -> (state, metrics, finite)`, to be compiled by `layout.compile`.

    Shuffling, gathering, augmentation, the schedule and the metrics are inside. `num_steps` is an argument of the
    compiled program and not part of it: the very same code runs whether a run is cut into calls of 50 steps or
    interrupted after 7, which is what makes a resumed run equal to an uninterrupted one bit for bit.

    Args:
        recipe: what a step does.
        augment: what is done to the training images, and to their labels where images are mixed.
        batch_size: B, the batch over all devices.
        max_steps: the longest call. The order of examples is drawn for as many epochs as it may touch.
        layout: how the batch is spread over devices.
        streamed: whether the data are batches that `feed.py` hands over, in the order in which they are gathered here
            otherwise.

    Returns:
        A function of the state (donated when compiled), the data and `num_steps <= max_steps`; it returns the state,
        metrics of shape [max_steps], of which the first `num_steps` count, and whether everything in the state is
        finite, bool []. The data are the training split `{"image": uint8 [N, H, W, C], "label": int32 [N]}`; streamed,
        they are the block of batches that the step is in, `{"image": uint8 [max_steps, A, B/A, H, W, C], "label",
        "index", "epoch": int32 [max_steps, A, B/A]}`, step t at place `t mod max_steps`.
    """

    def run_steps(state: TrainState, data: Batch, num_steps: jax.Array) -> tuple[TrainState, Metrics, jax.Array]:
        axis_name = AXIS if layout.mapped else None
        share = batch_size // layout.num_devices if layout.mapped else batch_size
        size = share // recipe.accumulate
        order_key, augment_key = jax.random.split(jax.random.fold_in(state.key, jnp.int32(-1)))

        if streamed:

            def examples(step: jax.Array, part: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
                at = step % max_steps
                return tuple(data[name][at, part] for name in ("image", "label", "index", "epoch"))  # type: ignore[return-value]

        else:
            epochs = 1 + -(-max_steps * batch_size // len(data["label"]))
            order = order_from(order_key, state.step * batch_size, len(data["label"]), epochs)

            def examples(step: jax.Array, part: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
                start = step * batch_size + part * size
                if axis_name is not None:
                    start += jax.lax.axis_index(axis_name) * share
                index, epoch = batch_at(order, start, size)
                return data["image"][index], data["label"][index], index, epoch

        def part_of(step: jax.Array, part: jax.Array) -> Batch:
            image, label, index, epoch = examples(step, part)
            image, label = layout.constrain((image, label))
            return augment(augment_key, epoch, index, {"image": image, "label": label})

        @functools.partial(jax.jit, inline=True)  # traced once, for its shapes and for the loop
        def step(state: TrainState) -> tuple[TrainState, Metrics]:
            with nn.cross_replica(axis_name):
                return train_step(state, functools.partial(part_of, state.step), recipe=recipe, axis_name=axis_name)

        def body(i: jax.Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            state, history = carry
            state, metrics = step(state)
            return state, jax.tree.map(lambda column, value: column.at[i].set(value), history, metrics)

        _, scalars = jax.eval_shape(step, state)
        history = jax.tree.map(lambda scalar: jnp.zeros(max_steps, scalar.dtype), scalars)
        state, history = jax.lax.fori_loop(0, num_steps, body, (state, history))
        return state, history, is_finite(state)

    return run_steps
