"""One pure training step. Everything that compiles it (`run.py`) stands elsewhere."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from cnn_jax.tasks import Batch, Metrics, Task
from cnn_jax.train.state import TrainState


def train_step(
    state: TrainState, batch: Batch, *, task: Task, tx: optax.GradientTransformation, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One update.

    Args:
        state: the state before the step.
        batch: `image` uint8 [B, H, W, C] and `label` int32 [B]; under `axis_name` this replica's share of it.
        task: what training means.
        tx: the optimiser.
        axis_name: the mapped axis to average over under `pmap`, None under `jit`, where the batch is one array however
            it lies on the devices.

    Returns:
        The state after the step, and scalars: the task's metrics and `grad_norm`.
    """
    key = jax.random.fold_in(state.key, state.step)
    if axis_name is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))

    def loss(params):
        return task.loss({"params": params, **state.model_state}, batch, key)

    grads, (model_state, metrics) = jax.grad(loss, has_aux=True)(state.params)
    if axis_name is not None:
        grads, model_state, metrics = jax.lax.pmean((grads, model_state, metrics), axis_name)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    metrics["grad_norm"] = optax.tree.norm(grads)
    new_state = dataclasses.replace(
        state,
        step=state.step + jnp.int32(1),
        params=optax.apply_updates(state.params, updates),
        model_state=model_state,
        opt_state=opt_state,
    )
    return new_state, metrics
