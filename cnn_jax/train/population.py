"""Seeds and hyperparameters as an axis: several runs of one architecture, computed together.

Every member is a run like any other, with a workdir, an order of its data, metrics and checkpoints of its own, and its
result is that of the run alone, up to rounding. The members go in step; one that diverges ends, the others go on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.config import Config, resolve
from cnn_jax.data import Dataset
from cnn_jax.errors import CnnJaxError, ConfigError, DivergedError, Preempted
from cnn_jax.train.build import DataSpec, build, program_key
from cnn_jax.train.cache import use_compilation_cache
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.distributed import AgreedStop, Processes
from cnn_jax.train.feed import EvaluationFeed, OnDevice
from cnn_jax.train.judge import better
from cnn_jax.train.loop import Pace, load_config_data, put_held_out, train
from cnn_jax.train.memory import out_of_memory_named
from cnn_jax.train.planner import make_plan
from cnn_jax.train.preflight import preflight
from cnn_jax.train.progress import Listener
from cnn_jax.train.run import TrainingRun
from cnn_jax.train.stop import StopRequest
from cnn_jax.train.together import WAYS, Many, side_by_side
from cnn_jax.train.workdir import DATASET, DONE, check_workdir, open_workdir, read_json, write_environment, write_json

Outcome = dict[str, Any] | CnnJaxError
"""The final metrics of a member, or why it has none."""


class Member(NamedTuple):
    """One run of a population.

    Attributes:
        config: it differs from the others' in its seed and in `scalars.SCALARS` alone.
        workdir: where it is written.
        listener: is told how it goes on.
    """

    config: Config
    workdir: Path
    listener: Listener


def train_population(
    members: Sequence[Member], *, dataset: Dataset | None = None, way: str | None = None, stop_at: int | None = None
) -> list[Outcome]:
    """Trains what is missing of the members, together; called again, goes on where they stopped.

    Args:
        members: the runs. Each is computed on one device, whatever its `num_devices` and `parallel` say.
        dataset: the data, if it has been loaded already.
        way: a key of `together.WAYS`; by default the fastest, by measurement.
        stop_at: a step at which to save and stop as if a signal had come.

    Returns:
        For each member what `train` would have returned, or the error that ended it.

    Raises:
        ConfigError: members that differ in more than seed and scalars, or data that does not lie on the device.
        DataError: data that is missing or broken.
        Preempted: stopped by Ctrl-C, SIGTERM or `stop_at`, after a save of every member.
    """
    members = [member._replace(config=resolve(member.config), workdir=Path(member.workdir)) for member in members]
    _check(members)
    for member in members:
        check_workdir(member.workdir, member.config)
    outcomes: list[Outcome | None] = [_done(member) for member in members]
    if all(outcome is not None for outcome in outcomes):
        return [outcome for outcome in outcomes if outcome is not None]
    use_compilation_cache()
    if dataset is None:
        dataset = load_config_data(members[0].config)
    if dataset.streamed:
        raise ConfigError(320, "members of a population share data on the device: set config.input=device")
    for i, member in enumerate(members):
        if outcomes[i] is None and _has_ended(member):  # killed between its last checkpoint and DONE
            outcomes[i] = train(member.config, member.workdir, dataset=dataset, progress=member.listener)
    missing = [i for i, outcome in enumerate(outcomes) if outcome is None]
    if missing:
        with out_of_memory_named(members[0].config), StopRequest(stop_at) as request:
            stop = _OneStop(request)
            for i, outcome in zip(missing, _train([members[i] for i in missing], dataset, way, stop), strict=True):
                outcomes[i] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _check(members: Sequence[Member]) -> None:
    if len({program_key(member.config) for member in members}) > 1:
        raise ConfigError(
            321,
            "members of a population may differ in config.seed and in numbers of the optimizer, and in nothing else",
        )
    if len({member.workdir for member in members}) < len(members):
        raise ConfigError(322, "two members of a population have one workdir: give each its own")


def _done(member: Member) -> Outcome | None:
    return read_json(member.workdir / DONE) if (member.workdir / DONE).is_file() else None


def _has_ended(member: Member) -> bool:
    """Whether the latest checkpoint is a run's last."""
    every = Checkpoints(member.workdir / "checkpoints", better).all()
    return bool(every) and bool(every[-1].meta.get("ended"))


class _OneStop(AgreedStop):
    """A stop that all members see at the same step, though a signal may come while they are asked one by one."""

    def __init__(self, request: StopRequest):
        super().__init__(request, Processes.here())
        self._request, self._due = request, False

    def look(self, step: int) -> None:
        """Decides for this step."""
        self.agree()
        self._due = self._request.due(step)

    def due(self, step: int) -> bool:
        """What was decided."""
        return self._due


class _Population:
    """The members that are computed, and how."""

    def __init__(self, members: Sequence[Member], dataset: Dataset, way: str | None, stop: _OneStop):
        spec = DataSpec.of(dataset, members[0].config)
        self.programs = [build(_on_one_device(member.config), spec) for member in members]
        program = self.programs[0]
        for line in preflight(program, members[0].config, spec, members[0].workdir, members=len(members)).lines():
            members[0].listener.note(line)
        self.held_out = put_held_out(program, dataset, 0)
        self.data = OnDevice(dataset.splits["train"], program.layout).at(0)
        self.stop = stop
        at = _common_step(members)
        for member in members:
            open_workdir(member.workdir, member.config)
            write_json(member.workdir / DATASET, spec._asdict())
            write_environment(member.workdir)
        size = len(dataset.splits["train"])
        self.runs = [
            TrainingRun(m.config, m.workdir, p, self.held_out, size, m.listener, stop, Processes.here(), restore=at)
            for m, p in zip(members, self.programs, strict=True)
        ]
        self.outcomes: list[Outcome | None] = [None] * len(members)
        self.way, self._many = self._choose(way)
        self._evaluate = None if self.way in ("map", "copies") else program.evaluate.of_many(self.way)

    def _choose(self, way: str | None) -> tuple[str, Many]:
        program, first = self.programs[0], self.runs[0]
        # One that goes on goes on as it was: another way rounds differently.
        way = way or first.meta.get("way")
        if way is None and len(self.runs) == 1:
            way = "calls"
        if way is None:
            config = first.config
            plan, many = make_plan(
                program.steps,
                [run.state for run in self.runs],
                self.data,
                steps=program.total_steps - first.step,
                max_steps=program.max_steps,
                identity=[config.model.to_dict(), config.batch_size, config.augment, self.data["image"].shape[1:]],
            )
            first.listener.note(str(plan))
            way = plan.way
        else:
            many = program.shelf.function(f"steps of {len(self.runs)} by {way}", WAYS[way](program.steps, (0,)))
        for run in self.runs:
            run.meta["way"] = way
        if way == "calls" and jax.local_device_count() == 1:
            # The very program of a run alone, which may be compiled already.
            return way, lambda states, *shared: side_by_side(program.run_steps, states, *shared)
        return way, many

    def active(self) -> list[int]:
        """The members that are still trained."""
        return [i for i, outcome in enumerate(self.outcomes) if outcome is None]

    def make_steps(self, num_steps: int) -> None:
        """One call of all members; one that diverges has its outcome."""
        active = self.active()
        # A program for all members computes those that have ended too, and nobody looks.
        computed = active if self.way == "calls" else list(range(len(self.runs)))
        started = time.perf_counter()
        results = self._many([self.runs[i].state for i in computed], self.data, np.int32(num_steps))
        told = jax.device_get([result[1:] for result in results])
        seconds = (time.perf_counter() - started) / len(active)
        for i, (state, _, _), (columns, finite) in zip(computed, results, told, strict=True):
            run = self.runs[i]
            if i not in active:
                run.state = state
                continue
            try:
                run.after_call(state, columns, finite, num_steps, seconds)
            except DivergedError as error:
                self.outcomes[i] = error
                run.close()

    def conclude(self) -> None:
        """Validates, saves and ends what is due, all members at the same step."""
        active = self.active()
        if active and self.runs[active[0]].validates:
            self._validate(active)
        for i in active:
            self.runs[i].conclude_step()
        ended = [i for i in active if self.runs[i].ended()]
        for i, test in zip(ended, self._tests(ended), strict=True):
            self.outcomes[i] = self.runs[i].finish(test)

    def _tests(self, ended: list[int]) -> Sequence[dict[str, float] | None]:
        """Metrics of those that have ended on the test split, where computing them together changes no bit."""
        if not ended or self._evaluate is None or self.way != "calls" or "test" not in self.held_out:
            return [None] * len(ended)
        return self._evaluate([self.runs[i].best_variables() for i in ended], self._split("test"))

    def _validate(self, active: list[int]) -> None:
        if self._evaluate is None:
            for i in active:
                self.runs[i].validate()
            return
        started = time.perf_counter()
        every = self._evaluate([run.state.eval_variables for run in self.runs], self._split("validation"))
        seconds = (time.perf_counter() - started) / len(active)
        for i in active:
            self.runs[i].validated(every[i], seconds)

    def _split(self, name: str) -> Any:
        data = self.held_out[name]
        assert not isinstance(data, EvaluationFeed), "a population's data are on the device"
        return data


def _train(members: Sequence[Member], dataset: Dataset, way: str | None, stop: _OneStop) -> list[Outcome]:
    population = _Population(members, dataset, way, stop)
    with contextlib.ExitStack() as closing:
        for run in population.runs:
            closing.callback(run.close)
        pace = Pace(population.programs[0].max_steps)
        while active := population.active():
            num_steps = min(pace.limit, *(population.runs[i].steps_to_next_event() for i in active))
            started = time.perf_counter()
            population.make_steps(num_steps)
            pace.took(num_steps, time.perf_counter() - started)
            step = population.runs[active[0]].step
            stop.look(step)
            population.conclude()
            if stop.due(step) and population.active():
                raise Preempted(1, f"stopped by {stop.reason} at step {step}; the same command goes on")
    return [outcome for outcome in population.outcomes if outcome is not None]


def _on_one_device(config: Config) -> Any:
    single = config.copy_and_resolve_references().unlock()
    single.update(num_devices=1, parallel="jit")
    return single


def _common_step(members: Sequence[Member]) -> int | None:
    """The latest step of which every member has a sound checkpoint; they were saved one after another."""
    common: set[int] | None = None
    for member in members:
        every = Checkpoints(member.workdir / "checkpoints", better).all()
        sound = {checkpoint.step for checkpoint in every if checkpoint.damage() is None}
        common = sound if common is None else common & sound
    return max(common or (), default=None)
