"""A finished or interrupted run, read back from its workdir."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from cnn_jax.config import resolve
from cnn_jax.data import Dataset
from cnn_jax.errors import CheckpointError, ConfigError, DataError
from cnn_jax.evaluate.checkpoints import AVERAGE, restore
from cnn_jax.tasks import Task, Variables
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.cache import runs_often
from cnn_jax.train.evaluation import Evaluate
from cnn_jax.train.feed import EvaluationFeed
from cnn_jax.train.loop import load_config_data
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.workdir import CONFIG, DATASET, read_json

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained network with everything needed to use it.

    Attributes:
        workdir: where it was trained.
        step: the step of its checkpoint; of several that were averaged the last.
        config: its config.
        spec: its data: classes, image shape, channel statistics.
        model: the Linen module.
        variables: `{"params", "batch_stats"}`.
        steps: the checkpoints that the variables are the mean of.
    """

    workdir: Path
    step: int
    config: Any
    spec: DataSpec
    model: Any
    variables: Variables
    _task: Task
    _evaluate: Evaluate
    steps: tuple[int, ...] = ()

    @property
    def checkpoint(self) -> str:
        """The step of its checkpoint, or `average:N1,N2` of those that were averaged."""
        return str(self.step) if len(self.steps) < 2 else AVERAGE + ",".join(map(str, self.steps))

    @property
    def history(self) -> pd.DataFrame:
        """Every line of `metrics.jsonl`, one row each: `step`, `split`, `loss`, `accuracy`, ..."""
        import pandas as pd  # a second, of no use to those who only predict

        return pd.DataFrame(read_metrics(self.workdir))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of the classes.

        Args:
            images: uint8 [N, H, W, C], or one image [H, W, C].

        Returns:
            float32 [N, num_classes] (or [num_classes] for one image), rows summing to 1.

        Raises:
            DataError: images of another shape or type than the network was trained on.
        """
        images = np.asarray(images)
        batch = images[None] if images.ndim == 3 else images
        if batch.dtype != np.uint8 or batch.shape[1:] != self.spec.image_shape:
            raise DataError(
                30,
                f"images are {images.dtype}{list(images.shape)}: this network takes uint8[N, "
                f"{', '.join(map(str, self.spec.image_shape))}]",
            )
        chunks = [self._predict(self.variables, batch[i : i + 256]) for i in range(0, len(batch), 256)]
        probabilities = np.concatenate([np.asarray(chunk) for chunk in chunks]) if chunks else np.zeros((0, 0))
        return probabilities[0] if images.ndim == 3 else probabilities

    def evaluate(
        self,
        split: str = "test",
        dataset: Dataset | None = None,
        *,
        protocol: str | None = None,
        crop: int | None = None,
        scales: Sequence[int] = (),
    ) -> dict[str, Any]:
        """Accuracy, top-5 accuracy and loss over a whole split, every example exactly once.

        Args:
            split: `train`, `validation` or `test`.
            dataset: the data; by default the one that the run was trained on is loaded again.
            protocol: a name of `evaluate.protocols`, such as `ten_crop`. With one the calibration is measured, too.
            crop: as in `evaluate.protocols.protocol`.
            scales: as there.

        Returns:
            Means over the examples, and their number `n`.

        Raises:
            ConfigError: the data has no such split, or the protocol does not fit.
            DataError: the data is not the one the run was trained on.
        """
        if protocol is not None:
            from cnn_jax.evaluate.evaluation import evaluate
            from cnn_jax.evaluate.example_set import examples

            seen = examples(self, split, dataset=dataset)
            return evaluate([self], seen, protocol, crop=crop, scales=scales).scores()
        if dataset is None:
            dataset = load_config_data(self.config)
        if dataset.fingerprint != self.spec.fingerprint:
            raise DataError(
                31, f"{dataset.name} has changed since {self.workdir} was trained on it: restore it, or train again"
            )
        have = {name: part for name, part in dataset.splits.items() if len(part.label)}
        if split not in have:
            raise ConfigError(13, f"{dataset.name} has no split {split!r}: use one of {', '.join(have)}")
        part = have[split]
        data = self._evaluate.put(part, self.config.workers)
        try:
            return self._evaluate(self.variables, data)
        finally:
            if isinstance(data, EvaluationFeed):
                data.close()

    @property
    def task(self) -> Task:
        """What the network was trained to do, as pure functions."""
        return self._task

    @property
    def logits(self) -> Callable[[Variables, jax.Array], jax.Array]:
        """`(variables, images uint8 [N, H, W, C]) -> float32 [N, outputs]`, a pure function, not compiled."""
        return self._task.logits

    @functools.cached_property
    def _predict(self) -> Callable[[Variables, np.ndarray], jax.Array]:
        return jax.jit(self._task.predict, compiler_options=runs_often())


def load(workdir: str | Path, step: str | int = "best") -> Run:
    """Reads a run back.

    Args:
        workdir: as given to `train`.
        step: `"best"` (on validation), `"latest"`, a number of steps, or `"average:N1,N2,..."`: the mean of the
            weights of these checkpoints.

    Returns:
        The run, ready to predict and evaluate.

    Raises:
        CheckpointError: not a workdir, or no sound checkpoint of that step.
        ConfigError: a list of steps that is none.
    """
    workdir = Path(workdir)
    stored = {name: read_json(workdir / name) for name in (CONFIG, DATASET)}
    try:
        config, spec = resolve(stored[CONFIG]), DataSpec.from_json(stored[DATASET])
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            200, f"{workdir / CONFIG} or {DATASET} is damaged ({type(error).__name__}: {error}): restore it"
        ) from error
    # One device is enough to look at a network, whatever it was trained on.
    single = config.copy_and_resolve_references().unlock()
    single.update(num_devices=1, parallel="jit")
    program = build(single, spec)
    like = program.abstract_state.variables
    # What an average of the weights was kept for: it is used in their place.
    variables, steps = restore(workdir, step, like)
    return Run(workdir, max(steps), config, spec, program.model, variables, program.task, program.evaluate, steps)
