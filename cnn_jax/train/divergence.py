"""Numbers that are not finite: found within one call, named, never saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cnn_jax.errors import DivergedError
from cnn_jax.train.state import TrainState, not_finite


def first_bad_metric(columns: Mapping[str, Sequence[float]]) -> tuple[int, str] | None:
    """The first step of a call with a metric that is not finite: its place in the columns, and `loss is nan`.

    Of several in one step the loss is named: the others follow from it.
    """
    found = [
        (i, name != "loss", f"{name} is {value}")
        for name, column in columns.items()
        for i, value in enumerate(column)
        if not math.isfinite(value)
    ]
    if not found:
        return None
    place, _, what = min(found)
    return place, what


def what_is_bad(state: TrainState) -> str:
    """The first array of a state that is not finite, and how many others are not."""
    names = not_finite(state)
    others = f" (and {len(names) - 1} more arrays)" if len(names) > 1 else ""
    return f"{names[0]} is not finite{others}"


def diverged(what: str, step: int, learning_rate: float, sound: Sequence[int]) -> DivergedError:
    """The error that stops a run.

    Args:
        what: is not finite.
        step: the update that made it so, counted from 1.
        learning_rate: of that update.
        sound: steps of the checkpoints there are.
    """
    kept = f"the last finite checkpoint is step {sound[-1]}" if sound else "no checkpoint was written yet"
    return DivergedError(
        1,
        f"{what} at step {step} (learning rate {learning_rate:g}); {kept}; try a lower config.optimizer.learning_rate, "
        "config.schedule.warmup_steps or config.optimizer.clip_norm",
    )
