"""Reduce on plateau: the learning rate is cut when the validation error stops falling.

The rule of AlexNet (section 5), VGG (section 3.1) and ResNet (section 3.4), whose authors applied it by hand. Its state
is part of the training state, so that a checkpoint holds it and a resumed run cuts at the same steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Plateau(NamedTuple):
    """What the rule remembers; scalars.

    Attributes:
        scale: float32, what the schedule's rate is multiplied by.
        best: float32, the lowest validation error since the start.
        waited: int32, evaluations since it was reached, or since the last cut.
        cuts: int32, how often the rate was cut.
    """

    scale: Any
    best: Any
    waited: Any
    cuts: Any


def initial_plateau() -> Plateau:
    """Before the first evaluation."""
    return Plateau(np.float32(1), np.float32(np.finfo(np.float32).max), np.int32(0), np.int32(0))


def after_evaluation(plateau: Plateau, error: float, schedule: Any) -> Plateau:
    """The rule, once an evaluation.

    Args:
        plateau: the state before, on the host.
        error: validation error, the share of wrong answers.
        schedule: `config.schedule`: `patience` evaluations without an error lower by more than `min_delta` bring a cut
            by `factor`, at most `max_cuts` times.
    """
    error32 = np.float32(error)
    if error32 < np.float32(plateau.best) - np.float32(schedule.min_delta):
        return plateau._replace(best=error32, waited=np.int32(0))
    waited = np.int32(plateau.waited + 1)
    if waited < schedule.patience or (schedule.max_cuts is not None and plateau.cuts >= schedule.max_cuts):
        return plateau._replace(waited=waited)
    scale = np.float32(plateau.scale * np.float32(schedule.factor))
    return plateau._replace(scale=scale, waited=np.int32(0), cuts=np.int32(plateau.cuts + 1))
