"""Learning-rate schedules, as functions of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax


def make_schedule(
    schedule: Any, learning_rate: float, total_steps: int, steps_per_epoch: float = 1.0
) -> optax.Schedule:
    """The learning rate at each step.

    Args:
        schedule: `config.schedule`. `constant`; `step`: times `factor` every `every_epochs` epochs; `multi_step`: times
            `factor` (or the factor of that boundary) at each of `boundaries`, fractions of the training; `cosine` to 0
            (Loshchilov and Hutter 2017); `polynomial` of `power` to the share `end` of the rate; `exponential`:
            `factor` over the whole training; `plateau`: constant here, cut by `plateau.py` when the validation error
            stops falling. `warmup_steps` come first and are part of the total: `linear` from the share `warmup_from` of
            the rate, or `constant` at it (He et al. 2015, section 4.2).
        learning_rate: the rate after warm-up.
        total_steps: length of the training in steps.
        steps_per_epoch: training images over the batch size.
    """
    warmup = min(schedule.warmup_steps, total_steps)
    main = _SCHEDULES[schedule.name](schedule, learning_rate, total_steps, warmup, steps_per_epoch)
    if not warmup:
        return main
    first = schedule.warmup_from * learning_rate
    start = {
        "linear": lambda: optax.linear_schedule(first, learning_rate, warmup),
        "constant": lambda: optax.constant_schedule(first),
    }[schedule.warmup]()
    return optax.join_schedules([start, main], [warmup])


def _rest(total_steps: int, warmup: int) -> int:
    return max(total_steps - warmup, 1)


def _step(schedule: Any, rate: float, total_steps: int, warmup: int, steps_per_epoch: float) -> optax.Schedule:
    every = max(1, round(schedule.every_epochs * steps_per_epoch))
    return lambda step: rate * schedule.factor ** jnp.floor_divide(jnp.asarray(step) + warmup, every)


def _multi_step(schedule: Any, rate: float, total_steps: int, warmup: int, steps_per_epoch: float) -> optax.Schedule:
    boundaries, factor = schedule.boundaries, schedule.factor
    factors = factor if isinstance(factor, tuple) else (factor,) * len(boundaries)
    scales: dict[int, float] = {}
    for boundary, value in zip(boundaries, factors, strict=True):
        at = max(1, round(boundary * total_steps) - warmup)
        scales[at] = scales.get(at, 1.0) * value  # in a short run several boundaries fall on one step
    return optax.piecewise_constant_schedule(rate, scales)


_SCHEDULES: dict[str, Callable[[Any, float, int, int, float], optax.Schedule]] = {
    "constant": lambda s, rate, total, warmup, epoch: optax.constant_schedule(rate),
    "plateau": lambda s, rate, total, warmup, epoch: optax.constant_schedule(rate),
    "step": _step,
    "multi_step": _multi_step,
    "polynomial": lambda s, rate, total, warmup, epoch: optax.polynomial_schedule(
        rate, s.end * rate, s.power, _rest(total, warmup)
    ),
    "cosine": lambda s, rate, total, warmup, epoch: optax.cosine_decay_schedule(rate, _rest(total, warmup)),
    "exponential": lambda s, rate, total, warmup, epoch: optax.exponential_decay(rate, _rest(total, warmup), s.factor),
}
