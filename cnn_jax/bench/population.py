"""C4 and G4: many seeds of one config, against `vmap`, against runs one after another, and against Keras."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from cnn_jax.bench.context import Context
from cnn_jax.bench.ours import Ours, bench_config, synthetic_dataset
from cnn_jax.bench.peer import PEERS, STEPS, prove_same_work, started
from cnn_jax.bench.training import BATCH, CLASSES, SHAPE
from cnn_jax.data import Dataset
from cnn_jax.errors import BenchError
from cnn_jax.ops import plain_ops
from cnn_jax.train.build import DataSpec, build, forget_programs
from cnn_jax.train.planner import make_plan
from cnn_jax.train.step import train_step

_SEEDS, _STEPS = 8, 64
_POPULATIONS = {"lenet:small": (64, 64), "resnet_cifar:20": (16, 32)}
"""G4: network to how many are trained together, and for how many steps."""


def run_population(config: Any, dataset: Dataset, seeds: Sequence[int]) -> float:
    """Trains one config with several seeds together; seconds, planning and compiling included."""
    begun = time.perf_counter()
    program = build(config, DataSpec.of(dataset))
    split = dataset.splits["train"]
    data = program.layout.put({"image": split.image, "label": split.label})
    states = [program.layout.put(program.create_state(np.int32(seed))) for seed in seeds]
    steps = config.total_steps
    _, many = make_plan(
        program.steps,
        states,
        data,
        steps=steps,
        max_steps=program.max_steps,
        identity=[config.model.to_dict(), config.batch_size],
    )
    while steps > 0:
        call = min(steps, program.max_steps)
        states = [result[0] for result in many(states, data, np.int32(call))]
        steps -= call
    jax.block_until_ready(states)
    return time.perf_counter() - begun


def run_in_turn(config: Any, dataset: Dataset, seeds: Sequence[int]) -> float:
    """The seeds one after another through one compiled program; seconds."""
    begun = time.perf_counter()
    program = build(config, DataSpec.of(dataset))
    split = dataset.splits["train"]
    data = program.layout.put({"image": split.image, "label": split.label})
    for seed in seeds:
        state = program.layout.put(program.create_state(np.int32(seed)))
        steps = config.total_steps
        while steps > 0:
            call = min(steps, program.max_steps)
            state, _, _ = program.run_steps(state, data, np.int32(call))
            steps -= call
        jax.block_until_ready(state.params)
    return time.perf_counter() - begun


def against_vmap(context: Context) -> None:
    """C4: eight seeds of LeNet, compiling included on all sides."""
    count, steps, batch = (2, STEPS + 1, 8) if context.smoke else (_SEEDS, _STEPS, BATCH)
    name, seeds = "lenet:small", list(range(count))
    dataset = synthetic_dataset(batch * steps, SHAPE, CLASSES)
    config = bench_config(name, batch, total_steps=steps)
    ours = Ours(config, dataset)
    losses = ours.losses()
    vmapped = _Vmapped(ours, seeds, steps)
    facts = {"batch_size": batch, "seeds": count, "steps": steps}
    rows = {
        "vmap": context.result.row(
            name,
            "vmap",
            images=batch * steps * count,
            facts={
                **facts,
                "peer": "the step with lax's operations under jax.vmap over the seeds, one call a step",
                "proof": prove_same_work("vmap", losses, vmapped.losses(STEPS + 1)),
            },
        )
    }

    def from_nothing() -> float:
        forget_programs()
        return run_population(config, dataset, seeds)

    sides: dict[str, Callable[[], float]] = {"ours": from_nothing, "vmap": vmapped.run}
    job = ours.job(context.threads)
    with contextlib.ExitStack() as stack:
        try:
            theirs = stack.enter_context(started("K", context.peer_python, job))
        except BenchError as error:
            context.result.absent["K"] = error.message
        else:
            proof = prove_same_work("K", losses, theirs.losses(STEPS + 1))
            more = {"peer": f"{PEERS['K'].what}, run after run, each compiled", "proof": proof}
            rows["K"] = context.result.row(name, "K", facts={**facts, **more, "versions": theirs.versions})
            ask = {"do": "runs", "seeds": seeds, "steps": steps}
            sides["K"] = lambda: theirs.process.ask(ask)["seconds"]
        context.measure(name, sides, rows)


def together(context: Context) -> None:
    """G4: populations against the same runs one after another; the programs are compiled before."""
    for name, (count, steps) in list(_POPULATIONS.items())[: 1 if context.smoke else None]:
        count, steps, batch = (2, 2, 8) if context.smoke else (count, steps, BATCH)
        dataset = synthetic_dataset(batch * steps, SHAPE, CLASSES)
        config = bench_config(name, batch, total_steps=steps)
        seeds = list(range(count))
        facts = {
            "batch_size": batch,
            "models": count,
            "steps": steps,
            "peer": "the same runs one after another, compiled once",
        }
        row = context.result.row(name, "in turn", images=batch * steps * count, facts=facts)
        sides = {
            "ours": lambda config=config, dataset=dataset, seeds=seeds: run_population(config, dataset, seeds),
            "in turn": lambda config=config, dataset=dataset, seeds=seeds: run_in_turn(config, dataset, seeds),
        }
        for side in sides.values():  # compiles
            side()
        context.measure(name, sides, {"in turn": row})


class _Vmapped:
    """What one writes first: the step under `jax.vmap`, the seeds along the leading axis."""

    def __init__(self, ours: Ours, seeds: Sequence[int], steps: int):
        self._ours, self._seeds, self._steps = ours, seeds, steps
        split = ours.dataset.splits["train"]
        order = [ours.batch_index(step) for step in range(ours.batches)]
        self._batches = [{"image": split.image[index], "label": split.label[index]} for index in order]

    def _compile(self) -> Callable[[Any, Any], tuple[Any, Any]]:
        recipe = self._ours.program.recipe

        def step(states: Any, batch: Any) -> tuple[Any, Any]:
            with plain_ops():
                return jax.vmap(lambda state: train_step(state, lambda part: batch, recipe=recipe))(states)

        return jax.jit(step, donate_argnums=0)

    def _states(self) -> Any:
        program = build(self._ours.config, self._ours.spec)
        states = [program.create_state(np.int32(seed)) for seed in self._seeds]
        return jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *states)

    def losses(self, steps: int) -> list[float]:
        """Losses of the first seed."""
        states, step, found = self._states(), self._compile(), []
        for i in range(steps):
            states, metrics = step(states, self._batches[i % len(self._batches)])
            found.append(float(metrics["loss"][0]))
        return found

    def run(self) -> float:
        """Seconds of all seeds, compiling included."""
        forget_programs()
        begun = time.perf_counter()
        states, step = self._states(), self._compile()
        for i in range(self._steps):
            states, _ = step(states, self._batches[i % len(self._batches)])
        jax.block_until_ready(states)
        return time.perf_counter() - begun
