"""The training loop: from a config to a finished workdir, interrupted or not."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.config import Config, resolve
from cnn_jax.data import Dataset, load_dataset
from cnn_jax.errors import Preempted
from cnn_jax.train import divergence
from cnn_jax.train.build import DataSpec, Program, abstract_state, build
from cnn_jax.train.cache import use_compilation_cache
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.distributed import AgreedStop, Processes, loss_named
from cnn_jax.train.feed import EvaluationFeed, OnDevice, TrainingData, TrainingFeed
from cnn_jax.train.judge import better
from cnn_jax.train.memory import decoded_limit, out_of_memory_named
from cnn_jax.train.metrics import MetricsLog, NoLog
from cnn_jax.train.plateau import after_evaluation
from cnn_jax.train.preflight import preflight, try_checkpoint
from cnn_jax.train.progress import Listener, ProgressBar, Silence
from cnn_jax.train.start import fresh_state
from cnn_jax.train.state import TrainState
from cnn_jax.train.stop import StopRequest
from cnn_jax.train.workdir import DATASET, DONE, check_workdir, open_workdir, read_json, write_environment, write_json

# A call this long answers a signal in time; the GPU's and TPU's are shorter anyway.
_SECONDS_PER_CALL = 2.0


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
        return _Run(config, workdir, program, dataset, progress, stop, processes).finish()


def load_config_data(config: Any) -> Dataset:
    """The data set that a config names, in memory or left in its files as `config.input` has it."""
    return load_dataset(
        config.data,
        validation=config.validation,
        seed=0,
        image_size=config.image_size,
        fit=config.fit,
        memory=decoded_limit(config.input),
    )


class _Run:
    """One process's share of a training run."""

    def __init__(
        self,
        config: Any,
        workdir: Path,
        program: Program,
        dataset: Dataset,
        listener: Listener,
        stop: AgreedStop,
        processes: Processes,
    ):
        self.config, self.workdir, self.program, self.listener, self.stop = config, workdir, program, listener, stop
        self.processes = processes
        self.num_examples = len(dataset.splits["train"])
        self.held_out = {
            name: program.evaluate.put(split, config.workers)
            for name, split in dataset.splits.items()
            if name != "train" and len(split)
        }
        self.steps_per_epoch = math.ceil(self.num_examples / config.batch_size)
        self.checkpoints = Checkpoints(workdir / "checkpoints", better)
        self.state, self.meta = self._start()
        self.step = int(self.state.step)
        self.data = self._training_data(dataset)
        self.log = MetricsLog(workdir, self.step) if processes.first else NoLog()
        self.listener.start(total_steps=program.total_steps, step=self.step, batch_size=config.batch_size)

    def _start(self) -> tuple[TrainState, dict[str, Any]]:
        if self.checkpoints.all():
            state, checkpoint = self.checkpoints.restore("latest", abstract_state(self.program))
            self.processes.barrier("restored")
            if self.processes.first:
                self.checkpoints.set_aside(after=checkpoint.step)
            self.processes.barrier("set aside")
            return self.program.layout.put(state), checkpoint.meta
        state = fresh_state(self.program, self.config, self.workdir, self.listener)
        self.processes.barrier("nothing to restore")
        if self.processes.first:
            seconds = try_checkpoint(self.checkpoints, state)
            self.listener.note(f"a checkpoint saved and restored in {seconds:.2f} s")
        meta = {"window": {}, "validation": None, "waited": 0, "seconds": 0.0}
        return self.program.layout.put(state), meta

    def _training_data(self, dataset: Dataset) -> TrainingData:
        split, layout = dataset.splits["train"], self.program.layout
        if not dataset.streamed:
            return OnDevice(split, layout)
        feed = TrainingFeed(
            split,
            layout,
            self.state.key,
            batch_size=self.config.batch_size,
            parts=self.config.accumulate,
            block_steps=self.program.max_steps,
            steps=range(self.step, self.program.total_steps),
            workers=self.config.workers,
        )
        feed.check(self.step, self.meta.get("data"))
        return feed

    def finish(self) -> dict[str, Any]:
        """Trains to the end, evaluates the best checkpoint on the test split, writes DONE."""
        try:
            self._train()
            final = self._final_metrics()
        finally:
            self.data.close()
            for split in self.held_out.values():
                if isinstance(split, EvaluationFeed):
                    split.close()
            self.listener.close()
            self.log.close()
        if self.processes.first:
            write_json(self.workdir / DONE, final)
        return final

    def _train(self) -> None:
        limit = 1  # of the first call, which compiles; then as many steps as fit the time
        while not self._ended():
            num_steps = min(self._to_next_event(), limit)
            started = time.perf_counter()
            data = self.data.at(self.step)
            self.state, columns, finite = self.program.run_steps(self.state, data, np.int32(num_steps))
            columns = {name: column[:num_steps].tolist() for name, column in jax.device_get(columns).items()}
            seconds = time.perf_counter() - started
            self.step += num_steps
            self.meta["seconds"] += seconds
            self._refuse_divergence(columns, bool(finite))
            self._record(columns, num_steps, seconds)
            fits = max(1, int(_SECONDS_PER_CALL * num_steps / self.processes.all_of(seconds)[0]))
            limit = min(self.program.max_steps, max(limit + 1, fits) if limit == 1 else fits)
            self.stop.agree()
            self._evaluate_and_save()
            if self.stop.due(self.step) and not self._ended():
                raise Preempted(1, f"stopped by {self.stop.reason} at step {self.step}; the same command goes on")

    def _ended(self) -> str | None:
        """Why the run is over, or None."""
        patience = self.config.early_stopping
        if patience is not None and self.meta["waited"] >= patience:
            return f"early stopping: no better validation in {patience} evaluations"
        return "total steps" if self.step >= self.program.total_steps else None

    def _to_next_event(self) -> int:
        """Steps until something other than a step is due."""
        every = [self.config.log_every, self._every("eval_every"), self._every("checkpoint_every")]
        steps = [self.program.total_steps - self.step, *(n - self.step % n for n in every)]
        if (left := self.data.steps_left(self.step)) is not None:
            steps.append(left)
        return min(steps + [at - self.step for at in (self.stop.at,) if at is not None and at > self.step])

    def _every(self, key: str) -> int:
        return self.config[key] or self.steps_per_epoch

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.program.total_steps

    def _learning_rate(self, step: int) -> float:
        """Of the update that brings the run to `step`."""
        scale = 1.0 if self.state.plateau is None else float(self.state.plateau.scale)
        return float(self.program.learning_rate(step - 1)) * scale

    def _refuse_divergence(self, columns: Mapping[str, list[float]], finite: bool) -> None:
        bad = divergence.first_bad_metric(columns)
        if bad is None and finite:
            return
        steps = len(next(iter(columns.values())))
        step, what = (steps - 1, divergence.what_is_bad(self.state)) if bad is None else bad
        step += self.step - steps + 1
        sound = [checkpoint.step for checkpoint in self.checkpoints.all()]
        raise divergence.diverged(what, step, self._learning_rate(step), sound)

    def _record(self, columns: Mapping[str, list[float]], num_steps: int, seconds: float) -> None:
        # The window's sums are in the checkpoint's meta, so that a resumed run logs the same means.
        window = self.meta["window"]
        for name, column in columns.items():
            for value in column:  # not sum(): from Python 3.12 on its result depends on where a run was cut
                window[name] = window.get(name, 0.0) + value
        window["steps"] = window.get("steps", 0) + num_steps
        means = {name: window[name] / window["steps"] for name in columns}
        self.listener.advance(self.step, seconds, num_steps, means)
        self._last = {
            "learning_rate": self._learning_rate(self.step),
            "images_per_second": round(num_steps * self.config.batch_size / seconds, 1),
        }
        if self._due(self.config.log_every):
            self._log_window()

    def _log_window(self) -> None:
        """Logs the means over the steps since the last line."""
        window = self.meta["window"]
        means = {name: total / window["steps"] for name, total in window.items() if name != "steps"}
        means |= self._last
        self.log.write(self.step, "train", {"epoch": self._epoch(), **means})
        self.meta["train"] = means
        self.meta["window"] = {}

    def _epoch(self) -> float:
        return self.step * self.config.batch_size / self.num_examples

    def _evaluate_and_save(self) -> None:
        improved = False
        self.meta["validation"] = None
        if "validation" in self.held_out and self._due(self._every("eval_every")):
            improved = self._evaluate()
        if self._ended() and self.meta["window"]:
            self._log_window()
        if improved or self.stop.due(self.step) or self._ended() or self._due(self._every("checkpoint_every")):
            self._save()

    def _save(self) -> None:
        self.meta["data"] = self.data.position(self.step)
        self.processes.barrier("save")  # until now others may still have looked at what is on disk
        if self.processes.first:
            self.checkpoints.save(self.step, self.program.layout.fetch(self.state), self.meta)
        self.processes.barrier("saved")

    def _evaluate(self) -> bool:
        """Evaluates on the validation split; whether the result is the best so far."""
        started = time.perf_counter()
        metrics = self.program.evaluate(self.state.eval_variables, self.held_out["validation"])
        self.meta["seconds"] += time.perf_counter() - started
        self.meta["validation"] = metrics
        self.log.write(self.step, "validation", {"epoch": self._epoch(), **metrics})
        self.listener.evaluated(self.step, "validation", metrics)
        best = self.checkpoints.best()
        improved = best is None or better(self.meta, best.meta)
        self.meta["waited"] = 0 if improved else self.meta["waited"] + 1
        if self.state.plateau is not None:
            before = jax.device_get(self.state.plateau)
            after = after_evaluation(before, 1 - metrics["accuracy"], self.config.schedule)
            self.state = dataclasses.replace(self.state, plateau=self.program.layout.put(after))
            if after.cuts > before.cuts:
                self.listener.note(f"step {self.step}: learning rate cut to {self._learning_rate(self.step):g}")
        return improved

    def _final_metrics(self) -> dict[str, Any]:
        best = self.checkpoints.best()
        assert best is not None, "the last step always saves"
        variables = self.state.eval_variables
        if best.step != self.step:
            state, best = self.checkpoints.restore("best", abstract_state(self.program))
            variables = self.program.layout.put(state).eval_variables
        final = {
            "step": self.step,
            "ended": self._ended(),
            "best_step": best.step,
            "train": self.meta.get("train"),
            "validation": best.meta["validation"],
            "seconds": round(self.meta["seconds"], 3),
        }
        if "test" in self.held_out:
            final["test"] = self.program.evaluate(variables, self.held_out["test"])
            self.log.write(self.step, "test", final["test"])
            self.listener.evaluated(best.step, "test", final["test"])
        return final
