"""From a config to the functions that a run is made of."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import models, nn
from cnn_jax.config import canonical_json, resolve
from cnn_jax.data import Dataset
from cnn_jax.errors import ConfigError
from cnn_jax.schema import PATTERN_GROUPS
from cnn_jax.tasks import Task, classify
from cnn_jax.train import whitening
from cnn_jax.train.augment import Augment, make_augment
from cnn_jax.train.average import make_average
from cnn_jax.train.cache import runs_once
from cnn_jax.train.epoch import RunSteps, make_steps
from cnn_jax.train.evaluation import Evaluate
from cnn_jax.train.feed import steps_per_block
from cnn_jax.train.kept import Shelf
from cnn_jax.train.optim import make_optimizer
from cnn_jax.train.parallel import Layout, make_layout
from cnn_jax.train.paths import check_patterns
from cnn_jax.train.scalars import Scalars, arrays_of, filled, split
from cnn_jax.train.schedule import make_schedule
from cnn_jax.train.state import TrainState, create_state
from cnn_jax.train.step import Recipe


class DataSpec(NamedTuple):
    """What a network has to know of its data; `dataset.json` of a workdir.

    Attributes:
        name: the data set's name.
        classes: class names, in the order of the labels.
        image_shape: `(H, W, C)`.
        mean: mean of each channel of the training images, in 0..1.
        std: standard deviation of each channel.
        sizes: images per split.
        fingerprint: identity of the content and the split.
        covariance: C x C, of the channels over the pixels of the training images, in 0..1.
        patches: P x P, of small patches of the standardised training images, for a network that whitens them, else ().
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sizes: dict[str, int]
    fingerprint: str
    covariance: tuple[tuple[float, ...], ...] = ()
    streamed: bool = False
    patches: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, config: Any = None) -> DataSpec:
        """Measures a data set; given a config, what its network asks for as well."""
        mean, std = dataset.statistics()
        sizes = {name: len(split.label) for name, split in dataset.splits.items()}
        channels = (tuple(float(v) for v in mean), tuple(max(float(v), 1e-3) for v in std))
        covariance = tuple(map(tuple, dataset.covariance().tolist()))
        identity = (dataset.fingerprint, covariance, dataset.streamed)
        patches = () if config is None else _measure_patches(dataset, whitening.patch_size(config), *channels)
        return cls(dataset.name, dataset.classes, dataset.image_shape, *channels, sizes, *identity, patches)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> DataSpec:
        """Reads back what `_asdict` wrote."""
        tuples = {key: tuple(stored[key]) for key in ("classes", "image_shape", "mean", "std")}
        matrices = {key: tuple(map(tuple, stored.get(key, ()))) for key in ("covariance", "patches")}
        return cls(**{**stored, **tuples, **matrices})


def _measure_patches(dataset: Dataset, size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    if not size:
        return ()
    image = dataset.splits["train"].image
    some = np.asarray(image[whitening.measured(len(image), dataset.image_shape)])
    measure = jax.jit(functools.partial(whitening.patches_of, size=size, mean=mean, std=std))
    return tuple(map(tuple, measure(some).tolist()))


class Program(NamedTuple):
    """The compiled functions of a run.

    Attributes:
        model: the Linen module.
        recipe: what a step does; `recipe.task` is what training means.
        augment: what is done to training images.
        num_classes: outputs of the network.
        layout: the devices.
        create_state: `(seed) -> TrainState`, compiled; with the config's own scalars.
        abstract_state: its structure, nothing computed.
        run_steps: K steps as one call.
        steps: the same, not compiled yet.
        evaluate: a whole split.
        learning_rate: the schedule.
        total_steps: length of the run.
        max_steps: the longest call.
        shelf: what is kept of it for other processes.
    """

    model: Any
    recipe: Recipe
    augment: Augment
    num_classes: int
    layout: Layout
    create_state: Any
    abstract_state: TrainState
    run_steps: RunSteps
    steps: RunSteps
    evaluate: Evaluate
    learning_rate: Any
    total_steps: int
    max_steps: int
    shelf: Shelf

    @property
    def task(self) -> Task:
        """What training means."""
        return self.recipe.task


def _make_task(config: Any, spec: DataSpec, model: Any) -> Task:
    return classify(
        model,
        spec.image_shape,
        mean=spec.mean,
        std=spec.std,
        label_smoothing=config.label_smoothing,
        aux_weight=config.aux_weight,
        dtype={"float32": jnp.float32, "bfloat16": jnp.bfloat16}[config.precision],
    )


def build_task(config: Any, spec: DataSpec, shelf: Shelf | None = None) -> tuple[Any, Task]:
    """The model that the config names, for this data, and its task; `shelf` keeps the shapes of the program.

    Raises:
        ConfigError: unknown model or keyword.
        GeometryError: the network cannot take images of this size; the layer is named.
    """
    keywords = dict(config.model)
    keywords.setdefault("num_classes", len(spec.classes))
    model = models.create(keywords.pop("name"), **keywords)
    task = _make_task(config, spec, model)

    def shapes() -> tuple[Any, int]:
        variables = jax.eval_shape(task.init, jax.random.key(0))
        image = jax.ShapeDtypeStruct((1, *spec.image_shape), jnp.uint8)
        return variables["params"], jax.eval_shape(task.predict, variables, image).shape[-1]

    params, outputs = (shelf or Shelf()).value("shapes", shapes)
    if outputs < len(spec.classes):
        raise ConfigError(
            102,
            f"{config.model.name} has {outputs} outputs, {spec.name} {len(spec.classes)} classes: "
            f"set config.model.num_classes={len(spec.classes)}, or leave it out",
        )
    check_patterns(params, config.freeze, "freeze")
    check_patterns(params, config.init_layers, "init_layers")
    for key in PATTERN_GROUPS:
        check_patterns(params, list(config.optimizer.get(key.rpartition(".")[2], {})), key)
    return model, task


def build(config: Any, spec: DataSpec) -> Program:
    """Everything a run is made of, nothing of it computed yet.

    Runs that differ in their seed and their scalars alone share one program, and so its compiled functions.

    Raises:
        ConfigError: unknown model or keyword, more devices than there are, a batch larger than the training split.
        GeometryError: the network cannot take images of this size.
    """
    shared, scalars = split(config)
    program = _build(canonical_json(shared), tuple(scalars), json.dumps(spec._asdict()))
    own = arrays_of(scalars)
    return program._replace(
        create_state=lambda seed: program.create_state(seed, own), learning_rate=_schedule_of(resolve(config), spec)
    )


def forget_programs() -> None:
    """Leaves nothing compiled in this process: the next program is built and compiled as in a new one."""
    _build.cache_clear()
    jax.clear_caches()


def program_key(config: Any) -> str:
    """What runs on the same data must have in common to share a compiled program."""
    return canonical_json(split(resolve(config))[0])


@functools.lru_cache(maxsize=2)
def _build(config_json: str, scalars: tuple[str, ...], spec_json: str) -> Program:
    config, spec = resolve(json.loads(config_json)), DataSpec.from_json(json.loads(spec_json))
    num_examples, batch_size = spec.sizes["train"], config.batch_size
    if batch_size > num_examples:
        raise ConfigError(
            12, f"config.batch_size={batch_size} is more than the {num_examples} training images: set at most so many"
        )
    _check_against_data(config, spec)
    shelf = Shelf(config_json, *scalars, spec_json)
    model, task = build_task(config, spec, shelf)
    total_steps = total_steps_of(config, num_examples)

    def recipe_of(config: Any, task: Task, at: Any = None) -> Recipe:
        return Recipe(
            task,
            make_optimizer(config.optimizer, _schedule_of(config, spec), config.freeze, total_steps=total_steps),
            make_average(config.average, total_steps),
            config.accumulate,
            config.freeze,
            at,
        )

    def recipe_at(numbers: Scalars) -> Recipe:
        assert set(numbers) == set(scalars), "a stand-in would be computed with"
        own = filled(config, numbers)
        return recipe_of(own, _make_task(own, spec, model))

    recipe = recipe_of(config, task, recipe_at)
    size = whitening.patch_size(config)
    if size and not spec.patches:
        raise ConfigError(
            287,
            f"{config.model.name} whitens patches of {size}x{size}, and nothing was measured of the training images: "
            "give it data, and the config to DataSpec.of",
        )
    layout = make_layout(config.parallel, config.num_devices, batch_size // config.accumulate)
    max_steps = max(1, min(config.log_every, num_examples // batch_size))
    if spec.streamed:
        max_steps = steps_per_block(max_steps, batch_size, spec.image_shape)
    num_classes = config.model.get("num_classes", len(spec.classes))
    augment = make_augment(
        config.augment,
        num_classes=num_classes,
        covariance=spec.covariance,
        part=batch_size // config.accumulate // (layout.num_devices if layout.mapped else 1),
    )
    steps = make_steps(
        recipe, augment, batch_size=batch_size, max_steps=max_steps, layout=layout, streamed=spec.streamed
    )

    def create(seed: jax.Array, numbers: Scalars) -> TrainState:
        with nn.measured_patches(jnp.asarray(spec.patches, jnp.float32) if size else None):
            return create_state(
                task,
                recipe.rule,
                seed,
                numbers,
                average=recipe.average is not None,
                plateau=config.schedule.name == "plateau",
            )

    initial = jax.jit(create, compiler_options=runs_once())
    run_steps = layout.compile(steps, rows=spec.streamed)
    return Program(
        model,
        recipe,
        augment,
        num_classes,
        layout,
        shelf.function("initial", initial),
        shelf.value("state", lambda: jax.eval_shape(initial, jnp.int32(0), arrays_of(dict.fromkeys(scalars, 0.0)))),
        run_steps if layout.mapped else shelf.function("steps", run_steps),
        steps,
        Evaluate(task, batch_size=batch_size // config.accumulate, layout=layout, shelf=shelf),
        _schedule_of(config, spec),
        total_steps,
        max_steps,
        shelf,
    )


def _schedule_of(config: Any, spec: DataSpec) -> Any:
    num_examples = spec.sizes["train"]
    return make_schedule(
        config.schedule,
        config.optimizer.learning_rate,
        total_steps_of(config, num_examples),
        num_examples / config.batch_size,
    )


def _check_against_data(config: Any, spec: DataSpec) -> None:
    num_examples, batch_size = spec.sizes["train"], config.batch_size
    if config.optimizer.name == "gd" and batch_size != num_examples:
        raise ConfigError(
            103,
            f"config.optimizer.name=gd takes the gradient of all {num_examples} training images: set "
            f"config.batch_size={num_examples} and config.accumulate to a divisor of it, or use sgd",
        )
    watches = "schedule.name=plateau" if config.schedule.name == "plateau" else "early_stopping"
    if (config.schedule.name == "plateau" or config.early_stopping) and not spec.sizes.get("validation"):
        raise ConfigError(
            104,
            f"config.{watches} watches the validation error, and {spec.name} has no validation split: "
            "set config.validation above 0",
        )


def total_steps_of(config: Any, num_examples: int) -> int:
    """The length of a run in steps, whichever way the config gives it; a started batch is finished."""
    if config.total_steps is not None:
        return config.total_steps
    examples = config.total_examples or config.total_epochs * num_examples
    return max(1, math.ceil(examples / config.batch_size))
