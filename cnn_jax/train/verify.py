"""Proof that stopping and going on changes nothing, for any config: `cnn-jax verify-resume`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.config import Config, override, resolve
from cnn_jax.data import Dataset
from cnn_jax.errors import ConfigError, Preempted
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.judge import better
from cnn_jax.train.loop import load_config_data, train
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.state import TrainState

# What a clock says may differ.
_CLOCK = ("images_per_second",)


class Difference(NamedTuple):
    """Something that is not the same after a stop.

    Attributes:
        stop: the step at which the run was stopped.
        what: a leaf of the state, `params.conv1.kernel`, or a line of the metrics, `metrics: step 8 train`.
        values: how many numbers differ.
        largest: the largest difference between two of them, or None where they cannot be subtracted.
    """

    stop: int
    what: str
    values: int
    largest: float | None

    def __str__(self) -> str:
        by = "" if self.largest is None else f", by {self.largest:g} at most"
        return f"stopped at {self.stop}: {self.what}: {self.values} values differ{by}"


class Verification(NamedTuple):
    """What `verify_resume` found.

    Attributes:
        steps: length of each run.
        stops: where runs were stopped.
        leaves: arrays of the state that were compared.
        differences: what differs; empty if resuming is exact.
    """

    steps: int
    stops: tuple[int, ...]
    leaves: int
    differences: list[Difference]


def verify_resume(
    config: Config,
    *,
    steps: int = 20,
    stops: int | Sequence[int] = 3,
    dataset: Dataset | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Verification:
    """Trains straight and with stops, and compares every bit of what comes out.

    Each stopped run saves a checkpoint to disk at its stop, as a signal makes it, is started again on its workdir, and
    trains to the end. Compared are all leaves of the state (parameters, statistics, optimiser, averages, plateau, key,
    step) and all lines of `metrics.jsonl`. The config is the given one but for its length; where it evaluates or saves
    less often than five times in that length, it does so five times.

    Args:
        config: what to train.
        steps: T, the length of each run.
        stops: where to stop, or at how many points, spread evenly.
        dataset: the data, if it has been loaded already.
        tell: is told how it goes on, a line at a time.

    Raises:
        ConfigError: no step to stop at.
    """
    points = tuple(stops) if not isinstance(stops, int) else spread(steps, stops)
    if not points or not all(0 < point < steps for point in points):
        raise ConfigError(109, f"a run of {steps} steps can stop at 1 to {steps - 1}, not at {points or 'no step'}")
    config = shortened(resolve(config), steps)
    if dataset is None:
        dataset = load_config_data(config)
    program = build(config, DataSpec.of(dataset, config))

    def final_state(workdir: Path) -> TrainState:
        state, _ = Checkpoints(workdir / "checkpoints", better).restore("latest", program.abstract_state)
        return state

    with tempfile.TemporaryDirectory(prefix="cnn-jax-verify-") as name:
        straight = Path(name) / "straight"
        done = train(config, straight, dataset=dataset, progress=False)
        tell(f"straight: {done['step']} steps ({done['ended']})")
        expected, lines = final_state(straight), read_metrics(straight)
        differences: list[Difference] = []
        points = tuple(point for point in points if point < done["step"])
        if not points:
            raise ConfigError(
                109, f"the run ends at step {done['step']} ({done['ended']}), before any stop: stop earlier"
            )
        for point in points:
            workdir = Path(name) / f"stopped-{point}"
            try:
                train(config, workdir, dataset=dataset, progress=False, stop_at=point)
            except Preempted:
                train(config, workdir, dataset=dataset, progress=False)
            found = [*compare(point, expected, final_state(workdir)), *_compare_lines(point, lines, workdir)]
            tell(f"stopped at {point}: {f'{len(found)} differences' if found else 'identical'}")
            differences += found
    return Verification(steps, points, len(jax.tree.leaves(expected)), differences)


def spread(steps: int, count: int) -> tuple[int, ...]:
    """`count` different steps to stop at, evenly between the first and the last of a run."""
    return tuple(sorted({round(steps * (i + 1) / (count + 1)) for i in range(count)} & set(range(1, steps))))


def shortened(config: Config, steps: int) -> Config:
    """The config with another length, evaluating and saving at least five times in it."""
    flat = override(config, [f"total_steps={steps}"])
    often = max(1, steps // 5)
    for key in ("eval_every", "checkpoint_every"):
        flat[key] = min(flat[key] or often, often)
    # The length of a compiled call: more than one in a run, so that calls are cut differently by a stop.
    flat["log_every"] = min(flat["log_every"], max(1, steps // 4))
    return resolve(flat)


def compare(stop: int, expected: Any, found: Any) -> list[Difference]:
    """The leaves of two states that are not the same, bit for bit."""
    flat, _ = jax.tree_util.tree_flatten_with_path(expected)
    differences = []
    for (path, ours), theirs in zip(flat, jax.tree.leaves(found), strict=True):
        a, b = _numbers(ours), _numbers(theirs)
        # As bytes: -0.0 is not 0.0 here, and one NaN is itself.
        unequal = a.view(np.uint8).reshape(-1, a.itemsize) != b.view(np.uint8).reshape(-1, b.itemsize)
        if count := int(unequal.any(axis=1).sum()):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
            largest = float(distance.max())
            differences.append(Difference(stop, name, count, largest if np.isfinite(largest) else None))
    return differences


def _compare_lines(stop: int, expected: list[dict[str, Any]], workdir: Path) -> list[Difference]:
    found = read_metrics(workdir)
    differences = []
    for i in range(max(len(expected), len(found))):
        a, b = ({k: v for k, v in line[i].items() if k not in _CLOCK} if i < len(line) else {}
                for line in (expected, found))  # fmt: skip
        wrong = [key for key in a.keys() | b.keys() if a.get(key) != b.get(key)]
        if wrong:
            line = a or b
            apart = [abs(a[key] - b[key]) for key in wrong if isinstance(a.get(key), float) and key in b]
            what = f"metrics: step {line['step']} {line['split']}"
            differences.append(Difference(stop, what, len(wrong), max(apart, default=None)))
    return differences


def _numbers(leaf: Any) -> np.ndarray:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.atleast_1d(np.ascontiguousarray(jax.device_get(leaf)))
