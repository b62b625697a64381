"""A whole training as one compiled call: from a seed to a trained state and its test accuracy.

Nothing comes back before the end: no log, no checkpoint, no evaluation on the way. What speed records time, and what a
sweep of runs of a few seconds is made of. The steps are those of `epoch.py`, bit for bit; `loop.py` is for everything
that may be interrupted.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.config import Config, resolve
from cnn_jax.data import Dataset
from cnn_jax.errors import ConfigError
from cnn_jax.tasks import Batch
from cnn_jax.train import whitening
from cnn_jax.train.build import DataSpec, Program, build
from cnn_jax.train.cache import runs_often
from cnn_jax.train.epoch import make_steps
from cnn_jax.train.scalars import arrays_of, split
from cnn_jax.train.state import TrainState, create_state

Logits = Callable[[jax.Array], jax.Array]
"""uint8 images [N, H, W, C] to logits [N, K]."""
Protocol = Callable[[Logits, jax.Array], jax.Array]
"""How a test image is looked at: `(logits_of, images) -> logits`, such as `evaluate.views.speedrun_logits`."""
Whole = Callable[[jax.Array, Batch, Batch], tuple[TrainState, jax.Array]]


class WholeRuns(NamedTuple):
    """What `train_whole` measured.

    Attributes:
        accuracies: on the test split, one a seed.
        seconds: of each call, from seed to accuracy; the data lie on the device before.
        compile_seconds: of the one compilation.
    """

    accuracies: list[float]
    seconds: list[float]
    compile_seconds: float


def train_whole(
    config: Config, dataset: Dataset, seeds: Sequence[int], *, protocol: Protocol | None = None
) -> WholeRuns:
    """Trains once for each seed, each training and its test one compiled call, and times them.

    Args:
        config: a config; its `seed` gives way to `seeds`, and what it says of logs and checkpoints means nothing here.
        dataset: data in memory, with a test split.
        seeds: one a run.
        protocol: how test images are looked at; each once, as it is, if None.

    Raises:
        ConfigError: a config or data that one call cannot train.
    """
    config = resolve(config)
    spec = DataSpec.of(dataset, config)
    program = build(config, spec)
    function = make_whole(program, config, spec, protocol)
    train, test = (
        program.layout.put({"image": split.image, "label": split.label})
        for split in (dataset.splits[name] for name in ("train", "test"))
    )
    started = time.perf_counter()
    compiled = jax.jit(function, compiler_options=runs_often()).lower(jnp.int32(0), train, test).compile()
    compile_seconds = time.perf_counter() - started
    accuracies, seconds = [], []
    for seed in seeds:
        started = time.perf_counter()
        _, right = jax.block_until_ready(compiled(jnp.int32(seed), train, test))
        seconds.append(time.perf_counter() - started)
        accuracies.append(int(right) / len(test["label"]))
    return WholeRuns(accuracies, seconds, compile_seconds)


def make_whole(program: Program, config: Any, spec: DataSpec, protocol: Protocol | None = None) -> Whole:
    """`(seed, train, test) -> (state, right)`, to be compiled.

    Args:
        program: of the config and the data.
        config: the config.
        spec: of the data; patches that a network whitens are measured anew inside the call, where their time counts.
        protocol: how test images are looked at; each once, as it is, if None.

    Returns:
        A function of the seed, int32 [], and of the training and test splits on the devices, `{"image": uint8 [N, H, W,
        C], "label": int32 [N]}`. The state is that after the last step; `right`, int32 [], says how many test examples
        it classifies rightly, by its averaged weights where an average is kept.

    Raises:
        ConfigError: data that is streamed or has no test split, or a config that decides something on the way.
    """
    _check(program, config, spec)
    size, task, scalars = whitening.patch_size(config), program.task, split(config)[1]
    run_steps = make_steps(
        program.recipe,
        program.augment,
        batch_size=config.batch_size,
        max_steps=program.total_steps,
        layout=program.layout,
    )

    def initial(seed: jax.Array, image: jax.Array) -> TrainState:
        patches = None
        if size:
            some = image[whitening.measured(len(image), spec.image_shape)]
            patches = whitening.patches_of(some, size, spec.mean, spec.std)
        with nn.measured_patches(patches):
            average = program.recipe.average is not None
            return create_state(task, program.recipe.rule, seed, arrays_of(scalars), average=average)

    def whole(seed: jax.Array, train: Batch, test: Batch) -> tuple[TrainState, jax.Array]:
        # Without the barrier XLA lets the initialisers into the loop, and rounds its steps otherwise than alone.
        state = jax.lax.optimization_barrier(initial(seed, train["image"]))
        state, _, _ = run_steps(state, train, jnp.int32(program.total_steps))

        def logits_of(image: jax.Array) -> jax.Array:
            return task.logits(state.eval_variables, image)

        looked_at = logits_of if protocol is None else functools.partial(protocol, logits_of)
        return state, _right(looked_at, test, config.batch_size // config.accumulate)

    return whole


def _right(logits_of: Logits, test: Batch, batch_size: int) -> jax.Array:
    """For how many examples their own class scores highest; each is looked at exactly once."""
    num_examples = len(test["label"])
    batch_size = min(batch_size, num_examples)

    def body(i: jax.Array, right: jax.Array) -> jax.Array:
        index = i * batch_size + jnp.arange(batch_size)
        at = jnp.minimum(index, num_examples - 1)
        best = jnp.argmax(logits_of(test["image"][at]), axis=-1)
        return right + jnp.sum((index < num_examples) & (best == test["label"][at]))

    return jax.lax.fori_loop(0, -(-num_examples // batch_size), body, jnp.int32(0))


def _check(program: Program, config: Any, spec: DataSpec) -> None:
    why = {
        "data that is streamed: set config.input=device": spec.streamed,
        "config.parallel=pmap: use jit": program.layout.mapped,
        "config.schedule.name=plateau, which waits for validation": config.schedule.name == "plateau",
        "config.early_stopping, which waits for validation": config.early_stopping is not None,
        "config.init_from, which reads files: train with cnn-jax train": config.init_from is not None,
        f"{spec.name}, which has no test split": not spec.sizes.get("test"),
    }
    for what, wrong in why.items():
        if wrong:
            raise ConfigError(288, f"a whole training in one call cannot have {what}")
