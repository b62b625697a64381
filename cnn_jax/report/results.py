"""`results.json` of a sweep, read and summed up over seeds. Knows files and numbers, nothing of how they are shown."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnn_jax.errors import CheckpointError
from cnn_jax.sweep.statistics import Difference, Interval, mean_interval, paired_difference

RESULTS = "results.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """One network trained from one seed.

    Attributes:
        family: the network's family.
        seed: its seed.
        workdir: relative to the sweep's workdir.
        status: `done`, `failed` or `missing`.
        error: why it is not done, in one line; None when it is.
        seconds: wall time of the training.
        steps: training steps.
        best_step: the step of the checkpoint that was tested, chosen on the validation split.
        measured: split -> metrics (`accuracy`, `loss`, ...), of the splits that were measured.
        curve: one entry per evaluation, in order of steps.
    """

    family: str
    seed: int
    workdir: str
    status: str
    error: str | None
    seconds: float | None
    steps: int | None
    best_step: int | None
    measured: Mapping[str, Mapping[str, float]]
    curve: tuple[Mapping[str, float], ...]

    @property
    def done(self) -> bool:
        """Whether it ended well and has a test error."""
        return self.status == "done"

    def test_error(self) -> float:
        """Share of the test images that are misclassified."""
        return 1 - self.measured["test"]["accuracy"]

    def error_on(self, split: str) -> float | None:
        """Share of a split's images that are misclassified; None when it was not measured."""
        accuracy = (self.measured.get(split) or {}).get("accuracy")
        return None if accuracy is None else 1 - accuracy

    def top5_error(self) -> float | None:
        """Share of the test images whose class is not among the five likeliest; None when it was not measured."""
        accuracy = (self.measured.get("test") or {}).get("top5")
        return None if accuracy is None else 1 - accuracy


@dataclasses.dataclass(frozen=True)
class Network:
    """One network and its runs, in the order of their seeds."""

    family: str
    label: str
    model: str
    year: int
    paper: str
    params: int
    macs: int
    runs: tuple[Run, ...]

    @property
    def done(self) -> tuple[Run, ...]:
        """The runs that have a test error."""
        return tuple(run for run in self.runs if run.done)

    @property
    def undone(self) -> tuple[Run, ...]:
        """The runs that have none, failed or missing."""
        return tuple(run for run in self.runs if not run.done)

    def mean(self, value: Callable[[Run], float | None]) -> Interval | None:
        """Mean and interval of a value over the runs that are done and have it; None when none has."""
        values = [v for v in map(value, self.done) if v is not None]
        return mean_interval(values) if values else None

    @property
    def test_error(self) -> Interval | None:
        """Mean test error and its interval, or None when no run is done."""
        return self.mean(Run.test_error)


@dataclasses.dataclass(frozen=True)
class Results:
    """What a sweep found.

    Attributes:
        networks: in historical order.
        raw: the whole document, for what is only shown.
    """

    networks: tuple[Network, ...]
    raw: Mapping[str, Any]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, network by network."""
        return tuple(run for network in self.networks for run in network.runs)

    @property
    def measured(self) -> tuple[Network, ...]:
        """The networks with at least one run that is done."""
        return tuple(network for network in self.networks if network.done)

    @property
    def best(self) -> Network | None:
        """The network with the lowest mean test error."""
        return min(self.measured, key=_mean_error, default=None)

    @property
    def seeds(self) -> int:
        """Most seeds of any network."""
        return max((len(network.runs) for network in self.networks), default=0)

    @property
    def chance_error(self) -> float:
        """Error of guessing."""
        return float(self.raw["chance_error"])


def compare(a: Network, b: Network) -> Difference | None:
    """Paired difference of the test errors `a - b` over the seeds both have; None when they share none."""
    theirs = {run.seed: run.test_error() for run in b.done}
    pairs = [(run.test_error(), theirs[run.seed]) for run in a.done if run.seed in theirs]
    return paired_difference([x for x, _ in pairs], [y for _, y in pairs]) if pairs else None


def read_results(file: Path) -> Results:
    """Reads `results.json`.

    Raises:
        CheckpointError: it is missing, damaged, or lacks something; names what.
    """
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            20, f"{file} cannot be read ({error.strerror}): run `cnn-jax history --workdir={file.parent}` first"
        ) from error
    except ValueError as error:
        raise CheckpointError(21, f"{file} is damaged ({error}): run the sweep again to rewrite it") from error
    return parse_results(raw, str(file))


def parse_results(raw: Mapping[str, Any], name: str = "the document") -> Results:
    """The results that a document holds.

    Args:
        raw: what `results.json` holds.
        name: what to call it in an error.

    Raises:
        CheckpointError: it lacks something; names what.
    """
    try:
        return _results(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(22, f"{name} is not a sweep's results ({what}): run the sweep again") from error


def _results(raw: Mapping[str, Any]) -> Results:
    if not 0 < float(raw["chance_error"]) <= 1:
        raise ValueError(f"chance_error {raw['chance_error']} is not a share")
    runs = sorted(map(_run, raw["cells"]), key=lambda run: run.seed)
    families = [entry["family"] for entry in raw["networks"]]
    stray = {run.family for run in runs} - set(families)
    if stray:
        raise ValueError(f"cells of {', '.join(sorted(stray))}, which is not among the networks")
    return Results(tuple(_network(entry, runs) for entry in raw["networks"]), raw)


def _network(entry: Mapping[str, Any], runs: list[Run]) -> Network:
    return Network(
        family=entry["family"],
        label=entry["label"],
        model=entry["model"],
        year=int(entry["year"]),
        paper=entry["paper"] if isinstance(entry["paper"], str) else ", ".join(map(str, entry["paper"])),
        params=int(entry["params"]),
        macs=int(entry["macs"]),
        runs=tuple(run for run in runs if run.family == entry["family"]),
    )


def _run(cell: Mapping[str, Any]) -> Run:
    measured = {split: cell[split] for split in ("train", "validation", "test") if cell.get(split)}
    accuracy = (measured.get("test") or {}).get("accuracy")
    status = cell["status"]
    error = cell.get("error") or ("" if status == "failed" else "not run yet: the same command again runs it")
    if status == "done" and (accuracy is None or not math.isfinite(accuracy)):
        status, error = "failed", "it has no finite test accuracy"
    return Run(
        family=cell["family"],
        seed=int(cell["seed"]),
        workdir=cell["workdir"],
        status=status,
        error=None if status == "done" else error or "it failed without saying why",
        seconds=cell.get("seconds"),
        steps=cell.get("steps"),
        best_step=cell.get("best_step"),
        measured=measured,
        curve=tuple(sorted(cell.get("curve") or (), key=lambda point: point["step"])),
    )


def _mean_error(network: Network) -> float:
    interval = network.test_error
    assert interval is not None, "only networks with a run that is done are compared"
    return interval.mean
