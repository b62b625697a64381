"""The training loop: from a config to a finished workdir, interrupted or not."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.config import Config, resolve
from cnn_jax.data import Dataset, load_dataset
from cnn_jax.errors import Preempted
from cnn_jax.train.build import DataSpec, Program, build
from cnn_jax.train.cache import use_compilation_cache
from cnn_jax.train.distributed import AgreedStop, Processes, loss_named
from cnn_jax.train.evaluation import EvaluationData
from cnn_jax.train.feed import EvaluationFeed, OnDevice, TrainingData, TrainingFeed
from cnn_jax.train.memory import decoded_limit, out_of_memory_named
from cnn_jax.train.preflight import preflight, try_checkpoint
from cnn_jax.train.progress import Listener, ProgressBar, Silence
from cnn_jax.train.run import TrainingRun
from cnn_jax.train.stop import StopRequest
from cnn_jax.train.workdir import DATASET, DONE, check_workdir, open_workdir, read_json, write_environment, write_json

# A call this long answers a signal in time; the GPU's and TPU's are shorter anyway.
_SECONDS_PER_CALL = 2.0
# File systems that gave back a checkpoint as it was written: the next cell of a sweep need not try again.
_SOUND: set[int] = set()


def train(
    config: Config,
    workdir: str | Path,
    *,
    dataset: Dataset | None = None,
    progress: bool | Listener = True,
    stop_at: int | None = None,
) -> dict[str, Any]:
    """Trains what a config describes; called again with the same workdir, goes on where it stopped.

    Args:
        config: a config, as `load_config` gives it.
        workdir: where everything is written.
        dataset: the data, if it has been loaded already; by default `config.data` is.
        progress: True shows a bar on standard error; a `Listener` is told how the run goes on.
        stop_at: a step at which to save and stop as if a signal had come.

    Where several processes run this (`distributed.start`), the first one writes the workdir, and all return the same.

    Returns:
        The final metrics, as `DONE` holds them: `step`, `ended` (why there), `best_step` (chosen on the validation
        split), `train`, `validation`, and `test`, measured once, on the best checkpoint.

    Raises:
        ConfigError: a config that cannot run, a workdir made with another one, or too little memory.
        DataError: data that is missing or broken.
        CheckpointError: a workdir that cannot be written or restored.
        DivergedError: the loss, a gradient, a parameter or a statistic stopped being finite.
        Preempted: stopped by Ctrl-C, SIGTERM or `stop_at`, after a save.
    """
    config, workdir = resolve(config), Path(workdir)
    check_workdir(workdir, config)
    if (workdir / DONE).is_file():
        return read_json(workdir / DONE)
    use_compilation_cache()
    processes = Processes.here()
    if dataset is None:
        with processes.first_before_others("data"):
            dataset = load_config_data(config)
    spec = DataSpec.of(dataset, config)
    program = build(config, spec)
    if not processes.first:
        progress = Silence()
    if isinstance(progress, bool):
        progress = ProgressBar(f"{config.model.name} seed {config.seed}") if progress else Silence()
    for line in preflight(program, config, spec, workdir).lines():
        progress.note(line)
    if processes.first:
        open_workdir(workdir, config)
        write_json(workdir / DATASET, spec._asdict())
        write_environment(workdir)
    with out_of_memory_named(config), loss_named(), StopRequest(stop_at) as request:
        stop = AgreedStop(request, processes)
        return _train(config, workdir, program, dataset, progress, stop, processes)


def load_config_data(config: Any) -> Dataset:
    """The data set that a config names, in memory or left in its files as `config.input` has it."""
    return load_dataset(
        config.data,
        validation=config.validation,
        train_images=config.train_images,
        seed=0,
        image_size=config.image_size,
        fit=config.fit,
        memory=decoded_limit(config.input),
    )


def _train(
    config: Any,
    workdir: Path,
    program: Program,
    dataset: Dataset,
    listener: Listener,
    stop: AgreedStop,
    processes: Processes,
) -> dict[str, Any]:
    """Trains to the end and writes DONE; everything is closed whichever way it ends."""
    with contextlib.ExitStack() as closing:
        held_out = put_held_out(program, dataset, config.workers)
        for split in held_out.values():
            if isinstance(split, EvaluationFeed):
                closing.callback(split.close)
        num_examples = len(dataset.splits["train"])
        run = TrainingRun(config, workdir, program, held_out, num_examples, listener, stop, processes)
        closing.callback(run.close)
        processes.barrier("looked for checkpoints")
        if run.fresh and processes.first and (disk := workdir.stat().st_dev) not in _SOUND:
            seconds = try_checkpoint(run.checkpoints, program.layout.fetch(run.state))
            _SOUND.add(disk)
            listener.note(f"a checkpoint saved and restored in {seconds:.2f} s")
        data = _training_data(run, dataset)
        closing.callback(data.close)
        _make_steps(run, data)
        return run.finish()


def put_held_out(program: Program, dataset: Dataset, workers: int) -> dict[str, EvaluationData]:
    """The splits that are evaluated on, as `program.evaluate` takes them."""
    return {
        name: program.evaluate.put(split, workers)
        for name, split in dataset.splits.items()
        if name != "train" and len(split)
    }


def _training_data(run: TrainingRun, dataset: Dataset) -> TrainingData:
    split, config, program = dataset.splits["train"], run.config, run.program
    if not dataset.streamed:
        return OnDevice(split, program.layout)
    feed = TrainingFeed(
        split,
        program.layout,
        run.state.key,
        batch_size=config.batch_size,
        parts=config.accumulate,
        block_steps=program.max_steps,
        steps=range(run.step, program.total_steps),
        workers=config.workers,
    )
    feed.check(run.step, run.meta.get("data"))
    return feed


def _make_steps(run: TrainingRun, data: TrainingData) -> None:
    pace = Pace(run.program.max_steps)
    while not run.ended():
        num_steps = min(run.steps_to_next_event(), pace.limit)
        if (left := data.steps_left(run.step)) is not None:
            num_steps = min(num_steps, left)
        started = time.perf_counter()
        called = run.program.run_steps(run.state, data.at(run.step), np.int32(num_steps))
        state, columns, finite = called[0], *jax.device_get(called[1:])
        seconds = time.perf_counter() - started
        run.after_call(state, columns, finite, num_steps, seconds)
        pace.took(num_steps, run.processes.all_of(seconds)[0])
        run.stop.agree()
        if run.validates:
            run.validate()
        run.conclude_step(data.position(run.step))
        if run.stop.due(run.step) and not run.ended():
            raise Preempted(1, f"stopped by {run.stop.reason} at step {run.step}; the same command goes on")


class Pace:
    """How many steps a call makes: one at first, which compiles; then as many as fit the time in which to answer.

    Args:
        max_steps: the most.
    """

    def __init__(self, max_steps: int):
        self.limit, self._max_steps = 1, max_steps

    def took(self, num_steps: int, seconds: float) -> None:
        """A call of so many steps took so long."""
        fits = max(1, int(_SECONDS_PER_CALL * num_steps / seconds))
        self.limit = min(self._max_steps, max(self.limit + 1, fits) if self.limit == 1 else fits)
