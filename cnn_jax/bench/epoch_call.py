"""C3: an epoch as one compiled call, against one call a step, and against a loop over plain `lax` operations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax

from cnn_jax.bench.context import Context
from cnn_jax.bench.ours import Ours, bench_config, synthetic_dataset
from cnn_jax.bench.peer import STEPS, prove_same_work
from cnn_jax.bench.training import BATCH, CLASSES, SHAPE
from cnn_jax.train.cache import runs_often
from cnn_jax.train.step import train_step

_CASES = {"lenet:small": (32, 8), "vgg:small": (12, 2)}
"""Network to steps of an epoch, and to how many of the plain loop make a block."""


def against_steps(context: Context) -> None:
    """An epoch of two networks; both peers are this very code but for the way it is called."""
    for name, (steps, plain_steps) in list(_CASES.items())[: 1 if context.smoke else None]:
        batch, steps, plain_steps = (8, STEPS + 1, 1) if context.smoke else (BATCH, steps, plain_steps)
        config, dataset = bench_config(name, batch), synthetic_dataset(batch * steps, SHAPE, CLASSES)
        ours, plain = Ours(config, dataset), Ours(config, dataset, plain=True)
        by_step = _StepByStep(ours)
        losses = ours.losses()
        rows = {
            "step": context.result.row(
                name,
                "step",
                ours_work=steps,
                theirs_work=steps,
                images=batch * steps,
                facts={
                    "batch_size": batch,
                    "steps": steps,
                    "peer": "the same step, jitted, one call a step, batches from the host",
                    "proof": prove_same_work("step", losses, by_step.losses(STEPS + 1)),
                },
            ),
            "scan": context.result.row(
                name,
                "scan",
                ours_work=steps,
                theirs_work=plain_steps,
                images=batch * steps,
                facts={
                    "batch_size": batch,
                    "steps": plain_steps,
                    "peer": "the same loop of steps with lax's convolutions and pools",
                    "proof": prove_same_work("scan", losses, plain.losses()),
                    "compile_seconds": {
                        "ours": round(ours.compile_seconds, 2),
                        "theirs": round(plain.compile_seconds, 2),
                    },
                },
            ),
        }
        sides: dict[str, Callable[[], float]] = {
            "ours": lambda ours=ours, steps=steps: ours.run(steps),
            "step": lambda side=by_step, steps=steps: side.run(steps),
            "scan": lambda side=plain, steps=plain_steps: side.run(steps),
        }
        context.measure(name, sides, rows)


class _StepByStep:
    """Our step compiled by itself and called once a batch, as loops are usually written."""

    def __init__(self, ours: Ours):
        self._ours = ours
        recipe = ours.program.recipe
        self._step = jax.jit(
            lambda state, batch: train_step(state, lambda part: batch, recipe=recipe),
            donate_argnums=0,
            compiler_options=runs_often(),
        )
        size, split = ours.config.batch_size, ours.dataset.splits["train"]
        order = [ours.batch_index(step) for step in range(len(split) // size)]
        self._batches = [{"image": split.image[index], "label": split.label[index]} for index in order]
        self._state: Any = None

    def losses(self, steps: int) -> list[float]:
        """Losses of the first steps from the initial weights on."""
        self._state = self._ours.initial()
        return [float(self._call(step)["loss"]) for step in range(steps)]

    def _call(self, step: int) -> dict[str, jax.Array]:
        self._state, metrics = self._step(self._state, self._batches[step % len(self._batches)])
        return metrics

    def run(self, steps: int) -> float:
        """Seconds of so many calls; nothing is fetched between them."""
        jax.block_until_ready(self._call(0))
        started, metrics = time.perf_counter(), None
        for step in range(steps):
            metrics = self._call(step)
        jax.block_until_ready((self._state.params, metrics))
        return time.perf_counter() - started
