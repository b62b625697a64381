"""Which weights of a workdir are used: those of one checkpoint, or the mean of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.errors import ConfigError
from cnn_jax.tasks import Variables
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.judge import better

AVERAGE = "average:"


def restore(workdir: Path, step: str | int, like: Any) -> tuple[Variables, tuple[int, ...]]:
    """Reads the variables of a workdir.

    Args:
        workdir: as given to `train`.
        step: `"best"`, `"latest"`, a number of steps, or `"average:N1,N2,..."`: the mean of the weights, and of the
            running statistics, of these checkpoints (Izmailov et al. 2018; their statistics are measured anew, ours are
            averaged).
        like: variables of the structure they must have.

    Returns:
        The variables, and the steps they come from.

    Raises:
        ConfigError: a list of steps that is none.
        CheckpointError: no sound checkpoint of that step, or of another network.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", better)
    if not str(step).startswith(AVERAGE):
        variables, checkpoint = checkpoints.restore_variables(step, like)
        return variables, (checkpoint.step,)
    steps = _steps(str(step))
    total, read = None, []
    for one in steps:
        variables, checkpoint = checkpoints.restore_variables(one, like)
        # Sums in float64: the mean of equal weights is these weights.
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
        total = wide if total is None else jax.tree.map(np.add, total, wide)
        read.append(checkpoint.step)
    mean = jax.tree.map(lambda leaf, of: (leaf / len(steps)).astype(of.dtype), total, like)
    return jax.tree.map(jax.numpy.asarray, mean), tuple(read)


def _steps(text: str) -> list[int]:
    words = text.removeprefix(AVERAGE).split(",")
    if not all(word.isdecimal() for word in words) or len({int(word) for word in words}) < max(2, len(words)):
        raise ConfigError(208, f"--step={text} must name two or more different checkpoints: average:1000,2000")
    return [int(word) for word in words]
