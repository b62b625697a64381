"""One pure training step. Everything that compiles it stands elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.tasks import Batch, Metrics, Task
from cnn_jax.train.average import Average
from cnn_jax.train.paths import matches, matching
from cnn_jax.train.rule import Aux, Objective, UpdateRule
from cnn_jax.train.scalars import Scalars
from cnn_jax.train.state import TrainState


class Recipe(NamedTuple):
    """What a step does.

    Attributes:
        task: what training means.
        rule: how the parameters move.
        average: the average of the weights that is kept, or None.
        accumulate: in how many parts a batch is computed, one after another, for want of memory. The gradient is that
            of the whole batch; batch norm sees each part by itself, and dropout draws for each.
        freeze: patterns of paths whose parameters and running statistics stay as they are.
        at: `(scalars) -> Recipe`, the same with the numbers of a training state; None where it is given none.
    """

    task: Task
    rule: UpdateRule
    average: Average | None = None
    accumulate: int = 1
    freeze: tuple[str, ...] = ()
    at: Callable[[Scalars], Recipe] | None = None


def train_step(
    state: TrainState, part: Callable[[jax.Array], Batch], *, recipe: Recipe, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One update.

    Args:
        state: the state before the step.
        part: gives part number p, an int32 [] below `recipe.accumulate`, of the batch: `image` uint8 [B, H, W, C] and
            `label` int32 [B]; under `axis_name` this replica's share of it.
        recipe: what to do.
        axis_name: the mapped axis to average over under `pmap`, None under `jit`, where the batch is one array however
            it lies on the devices.

    Returns:
        The state after the step, and scalars: the task's metrics and what the rule adds.
    """
    recipe = recipe if recipe.at is None else recipe.at(state.scalars)
    step_key = jax.random.fold_in(state.key, state.step)
    loss_key = step_key if axis_name is None else jax.random.fold_in(step_key, jax.lax.axis_index(axis_name))

    def loss(params: Any, model_state: Any, p: jax.Array) -> tuple[jax.Array, Aux]:
        frozen = matching(params, recipe.freeze)
        params = jax.tree.map(lambda x, still: jax.lax.stop_gradient(x) if still else x, params, frozen)
        key = loss_key if recipe.accumulate == 1 else jax.random.fold_in(loss_key, p)
        return recipe.task.loss({"params": params, **model_state}, part(p), key)

    def over_batch(function: Callable[..., tuple[Any, Aux]]) -> Callable[[Any], tuple[Any, Aux]]:
        def mean(params: Any) -> tuple[Any, Aux]:
            value, (model_state, metrics) = _mean_over_parts(function, params, state.model_state, recipe.accumulate)
            if axis_name is not None:
                value, model_state, metrics = jax.lax.pmean((value, model_state, metrics), axis_name)
            return value, (model_state, metrics)

        return mean

    objective = Objective(over_batch(loss), over_batch(jax.grad(loss, has_aux=True)))
    scale = 1.0 if state.plateau is None else state.plateau.scale
    with nn.frozen_norms(lambda path: any(matches(path, pattern) for pattern in recipe.freeze)):
        params, opt_state, (model_state, metrics) = recipe.rule.update(
            objective, state.params, state.opt_state, scale, step_key
        )
    step = state.step + jnp.int32(1)
    average = state.average
    if recipe.average is not None:
        average = recipe.average(average, {"params": params, **model_state}, step)
    new_state = dataclasses.replace(
        state, step=step, params=params, model_state=model_state, opt_state=opt_state, average=average
    )
    return new_state, metrics


def _mean_over_parts(
    function: Callable[..., tuple[Any, Aux]], params: Any, model_state: Any, parts: int
) -> tuple[Any, Aux]:
    """The mean of `function(params, model_state, p)` over the parts, the model state handed from one to the next."""
    if parts == 1:
        return function(params, model_state, jnp.int32(0))

    def body(p: jax.Array, carry: tuple[Any, Aux]) -> tuple[Any, Aux]:
        total, (before, metrics) = carry
        value, (after, more) = function(params, before, p)
        total, metrics = jax.tree.map(jnp.add, (total, metrics), (value, more))
        return total, (after, metrics)

    value, (_, metrics) = jax.eval_shape(function, params, model_state, jnp.int32(0))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (value, metrics))
    total, (model_state, metrics) = jax.lax.fori_loop(0, parts, body, (zeros[0], (model_state, zeros[1])))
    mean_value, mean_metrics = jax.tree.map(lambda x: x / parts, (total, metrics))
    return mean_value, (model_state, mean_metrics)
