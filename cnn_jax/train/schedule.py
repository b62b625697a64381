"""Learning-rate schedules, as functions of the step."""

from __future__ import annotations

from typing import Any

import optax


def make_schedule(schedule: Any, learning_rate: float, total_steps: int) -> optax.Schedule:
    """The learning rate at each step.

    Args:
        schedule: `config.schedule`. `constant`; `step`: times `factor` at each of `boundaries` (fractions of the
            training; the rule of AlexNet to ResNet with the moments written down); `cosine` to 0 (Loshchilov & Hutter
            2017); `polynomial` of `power` to 0; `exponential`: `factor` over the whole training. `warmup_steps` of
            linear warm-up from 0 come first and are part of the total.
        learning_rate: the rate after warm-up.
        total_steps: length of the training in steps.
    """
    warmup = min(schedule.warmup_steps, total_steps)
    rest = max(total_steps - warmup, 1)
    main = {
        "constant": lambda: optax.constant_schedule(learning_rate),
        "step": lambda: optax.piecewise_constant_schedule(
            learning_rate, {max(1, round(b * total_steps) - warmup): schedule.factor for b in schedule.boundaries}
        ),
        "cosine": lambda: optax.cosine_decay_schedule(learning_rate, rest),
        "polynomial": lambda: optax.polynomial_schedule(learning_rate, 0.0, schedule.power, rest),
        "exponential": lambda: optax.exponential_decay(learning_rate, rest, schedule.factor),
    }[schedule.name]()
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup), main], [warmup])
