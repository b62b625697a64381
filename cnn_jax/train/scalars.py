"""Numbers of a config that a compiled program is given, and not made of.

Configs that differ in these numbers and in their seed share one program: it is compiled once for a sweep over learning
rates, and computes many of them together (`population.py`). The numbers are part of the training state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from cnn_jax.config import Config, resolve, to_dict

Scalars = dict[str, Array]
"""float32 [] by dotted key of the config."""

SCALARS = (
    "optimizer.learning_rate",
    "optimizer.momentum",
    "optimizer.rho",
    "optimizer.beta1",
    "optimizer.beta2",
    "optimizer.epsilon",
    "optimizer.weight_decay",
    "optimizer.clip_norm",
    "optimizer.clip_value",
    "schedule.warmup_from",
    "label_smoothing",
    "average.decay",
)
# Legal for every one of them.
_STAND_IN = 0.5


def split(config: Config) -> tuple[Config, dict[str, float]]:
    """A config without its scalars, and the scalars.

    What is unset or zero stays in the config: there the program leaves the operation out.

    Args:
        config: resolved.

    Returns:
        The config with a stand-in for each scalar and without its seed, equal for all that share a program; and the
        scalars by dotted key.
    """
    nested = to_dict(config) | {"seed": 0}
    scalars = {}
    for key in SCALARS:
        group, last = _place(nested, key)
        if group[last] and not (key == "average.decay" and config.average.name != "ema"):
            scalars[key] = float(group[last])
            group[last] = _STAND_IN
    return resolve(nested), scalars


def arrays_of(scalars: Mapping[str, float]) -> Scalars:
    """As they stand in a training state."""
    return {key: jnp.float32(value) for key, value in scalars.items()}


def filled(config: Config, scalars: Mapping[str, Any]) -> Config:
    """The config with its scalars, which may be traced, in the place of the stand-ins."""
    nested = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    for key, value in scalars.items():
        group, last = _place(nested, key)
        group[last] = value
    return ConfigDict(nested)


def _place(nested: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    *groups, last = key.split(".")
    for group in groups:
        nested = nested[group]
    return nested, last
