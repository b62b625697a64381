"""The optimisers of the lectures, through optax."""

from __future__ import annotations

from typing import Any

import jax
import optax


def make_optimizer(optimizer: Any, learning_rate: optax.Schedule) -> optax.GradientTransformation:
    """The update rule that `config.optimizer` names.

    Args:
        optimizer: `config.optimizer`: `name`, `momentum`, `weight_decay`, `decay`, `clip_norm`. Weight decay is the L2
            form (added to the gradient before the rule, as in AlexNet section 5), but for `adamw`, which decouples it
            (Loshchilov & Hutter 2019). `decay="kernels"` spares biases and norm parameters, `"all"` spares nothing.
        learning_rate: the schedule.
    """
    momentum = optimizer.momentum
    rule = {
        "sgd": lambda: optax.sgd(learning_rate),
        "momentum": lambda: optax.sgd(learning_rate, momentum=momentum),
        "nesterov": lambda: optax.sgd(learning_rate, momentum=momentum, nesterov=True),
        "adagrad": lambda: optax.adagrad(learning_rate),
        "adadelta": lambda: optax.adadelta(learning_rate),
        "rmsprop": lambda: optax.rmsprop(learning_rate),
        "adam": lambda: optax.adam(learning_rate),
        "adamw": lambda: optax.adamw(
            learning_rate, weight_decay=optimizer.weight_decay, mask=_decayed(optimizer.decay)
        ),
    }[optimizer.name]()
    stages = []
    if optimizer.clip_norm is not None:
        stages.append(optax.clip_by_global_norm(optimizer.clip_norm))
    if optimizer.weight_decay and optimizer.name != "adamw":
        stages.append(optax.add_decayed_weights(optimizer.weight_decay, mask=_decayed(optimizer.decay)))
    return optax.chain(*stages, rule)


def _decayed(which: str):
    """Kernels are what has two or more axes; biases and norm parameters are vectors."""
    return lambda params: jax.tree.map(lambda p: which == "all" or p.ndim >= 2, params)
