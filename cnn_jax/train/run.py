"""One run under way: its state, its log and its checkpoints, whoever computes its steps."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.train import divergence
from cnn_jax.train.build import Program
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.distributed import AgreedStop, Processes
from cnn_jax.train.evaluation import EvaluationData
from cnn_jax.train.judge import better
from cnn_jax.train.metrics import MetricsLog, NoLog
from cnn_jax.train.plateau import after_evaluation
from cnn_jax.train.progress import Listener
from cnn_jax.train.start import fresh_state
from cnn_jax.train.state import TrainState
from cnn_jax.train.workdir import DONE, write_json


class TrainingRun:
    """What happens between the steps of a run: logging, evaluation, checkpoints, the final metrics.

    Args:
        config: resolved.
        workdir: of the run, open.
        program: of the config.
        held_out: the splits that are evaluated on, as `program.evaluate` takes them.
        num_examples: of the training split.
        listener: is told how it goes on.
        stop: says when to stop.
        processes: that share the run.
        restore: the checkpoint to go on from: `latest` if there is one, a step, or None to begin anew in any case.

    Attributes:
        state: of the training.
        step: updates made.
        fresh: whether it began anew.
        meta: what a checkpoint holds besides the state.
    """

    def __init__(
        self,
        config: Any,
        workdir: Path,
        program: Program,
        held_out: Mapping[str, EvaluationData],
        num_examples: int,
        listener: Listener,
        stop: AgreedStop,
        processes: Processes,
        *,
        restore: str | int | None = "latest",
    ):
        self.config, self.workdir, self.program, self.listener, self.stop = config, workdir, program, listener, stop
        self.processes, self.held_out, self.num_examples = processes, held_out, num_examples
        self._improved = self._closed = False
        self.steps_per_epoch = math.ceil(self.num_examples / config.batch_size)
        self.checkpoints = Checkpoints(workdir / "checkpoints", better)
        self.state, self.meta = self._start(restore)
        self.step = int(self.state.step)
        self.log = MetricsLog(workdir, self.step) if processes.first else NoLog()
        self.listener.start(total_steps=program.total_steps, step=self.step, batch_size=config.batch_size)

    def _start(self, restore: str | int | None) -> tuple[TrainState, dict[str, Any]]:
        every = self.checkpoints.all()
        self.fresh = not every or restore is None
        if not self.fresh:
            assert restore is not None
            state, checkpoint = self.checkpoints.restore(restore, self.program.abstract_state)
            self.processes.barrier("restored")
            if self.processes.first:
                self.checkpoints.set_aside(after=checkpoint.step)
            self.processes.barrier("set aside")
            return self.program.layout.put(state), checkpoint.meta
        if every:
            self.checkpoints.set_aside(after=-1)
        state = fresh_state(self.program, self.config, self.workdir, self.listener)
        meta = {"window": {}, "validation": None, "waited": 0, "seconds": 0.0}
        return self.program.layout.put(state), meta

    def close(self) -> None:
        """Ends what is told and logged."""
        if not self._closed:
            self._closed = True
            self.listener.close()
            self.log.close()

    def after_call(
        self, state: TrainState, columns: Mapping[str, Any], finite: Any, num_steps: int, seconds: float
    ) -> None:
        """Takes what a compiled call gave.

        Args:
            state: after it.
            columns: metrics `[max_steps]`, of which the first `num_steps` count.
            finite: whether everything in the state is.
            num_steps: steps it made.
            seconds: it took for this run.

        Raises:
            DivergedError: something is not finite.
        """
        self.state = state
        numbers = {name: np.asarray(column)[:num_steps].tolist() for name, column in columns.items()}
        self.step += num_steps
        self.meta["seconds"] += seconds
        self._refuse_divergence(numbers, bool(finite))
        self._record(numbers, num_steps, seconds)

    def ended(self) -> str | None:
        """Why the run is over, or None."""
        patience = self.config.early_stopping
        if patience is not None and self.meta["waited"] >= patience:
            return f"early stopping: no better validation in {patience} evaluations"
        return "total steps" if self.step >= self.program.total_steps else None

    def steps_to_next_event(self) -> int:
        """Steps until something other than a step is due."""
        every = [self.config.log_every, self._every("eval_every"), self._every("checkpoint_every")]
        steps = [self.program.total_steps - self.step, *(n - self.step % n for n in every)]
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

    @property
    def validates(self) -> bool:
        """Whether the validation split is to be evaluated at this step."""
        return "validation" in self.held_out and self._due(self._every("eval_every"))

    def validate(self) -> None:
        """Evaluates on the validation split; no step is made before `conclude_step`."""
        started = time.perf_counter()
        metrics = self.program.evaluate(self.state.eval_variables, self.held_out["validation"])
        self.validated(metrics, time.perf_counter() - started)

    def validated(self, metrics: dict[str, float], seconds: float) -> None:
        """Takes the metrics of the validation split, which took so long."""
        self.meta["seconds"] += seconds
        self.meta["validation"] = metrics
        self.log.write(self.step, "validation", {"epoch": self._epoch(), **metrics})
        self.listener.evaluated(self.step, "validation", metrics)
        best = self.checkpoints.best()
        self._improved = best is None or better(self.meta, best.meta)
        self.meta["waited"] = 0 if self._improved else self.meta["waited"] + 1
        if self.state.plateau is not None:
            before = jax.device_get(self.state.plateau)
            after = after_evaluation(before, 1 - metrics["accuracy"], self.config.schedule)
            self.state = dataclasses.replace(self.state, plateau=self.program.layout.put(after))
            if after.cuts > before.cuts:
                self.listener.note(f"step {self.step}: learning rate cut to {self._learning_rate(self.step):g}")

    def conclude_step(self, data_position: Any = None) -> None:
        """Logs and saves what is due after the last call, and after validation where that was due.

        Args:
            data_position: where the data stands, for the checkpoint.
        """
        if self.ended() and self.meta["window"]:
            self._log_window()
        if self._improved or self.stop.due(self.step) or self.ended() or self._due(self._every("checkpoint_every")):
            self._save(data_position)
        self._improved, self.meta["validation"] = False, None

    def _save(self, data_position: Any) -> None:
        self.meta |= {"data": data_position, "ended": self.ended()}
        self.processes.barrier("save")  # until now others may still have looked at what is on disk
        if self.processes.first:
            self.checkpoints.save(self.step, self.program.layout.fetch(self.state), self.meta)
        self.processes.barrier("saved")

    def best_variables(self) -> Any:
        """The variables of the best checkpoint, by which the run is tested."""
        best = self.checkpoints.best()
        assert best is not None, "the last step always saves"
        if best.step == self.step:
            self._best, variables = best, self.state.eval_variables
        else:
            state, self._best = self.checkpoints.restore("best", self.program.abstract_state)
            variables = self.program.layout.put(state).eval_variables
        return variables

    def finish(self, test: dict[str, float] | None = None) -> dict[str, Any]:
        """Closes, writes DONE and returns what it holds.

        Args:
            test: metrics of `best_variables` on the test split; evaluated here if not given.
        """
        final = self._final_metrics(test)
        self.close()
        if self.processes.first:
            write_json(self.workdir / DONE, final)
        return final

    def _final_metrics(self, test: dict[str, float] | None) -> dict[str, Any]:
        if test is None:
            variables = self.best_variables()
            test = self.program.evaluate(variables, self.held_out["test"]) if "test" in self.held_out else None
        final = {
            "step": self.step,
            "ended": self.ended(),
            "best_step": self._best.step,
            "train": self.meta.get("train"),
            "validation": self._best.meta["validation"],
            "seconds": round(self.meta["seconds"], 3),
        }
        if test is not None:
            final["test"] = test
            self.log.write(self.step, "test", test)
            self.listener.evaluated(self._best.step, "test", test)
        return final
