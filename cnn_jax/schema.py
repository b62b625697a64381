"""What a config may hold: every key, its default and what is legal, and which keys do not go together. No JAX."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.augmentations import read_augmentations
from cnn_jax.errors import ConfigError

LENGTHS = ("total_steps", "total_epochs", "total_examples")
OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "gd": (),
    "sgd": (),
    "momentum": ("momentum",),
    "nesterov": ("momentum",),
    "adagrad": ("epsilon",),
    "adadelta": ("rho", "epsilon"),
    "rmsprop": ("rho", "epsilon"),
    "adam": ("beta1", "beta2", "epsilon"),
    "adamw": ("beta1", "beta2", "epsilon"),
    "muon": ("momentum", "other_momentum", "newton_schulz", "kernel_norm"),
    "random_search": ("sigma", "candidates"),
    "local_random_search": ("sigma", "candidates"),
}
"""The update rules, and which constants of `config.optimizer` mean something to each."""
_OF_GRADIENTS = ("weight_decay", "decay_form", "group_decay", "clip_norm", "clip_value", "groups", "until")
SCHEDULES: dict[str, tuple[str, ...]] = {
    "constant": (),
    "step": ("factor", "every_epochs"),
    "multi_step": ("factor", "boundaries"),
    "polynomial": ("power", "end"),
    "cosine": (),
    "exponential": ("factor",),
    "plateau": ("factor", "patience", "min_delta", "max_cuts"),
}
"""The schedules, and which constants of `config.schedule` mean something to each."""


@dataclasses.dataclass(frozen=True)
class Field:
    """One key of a config: its default, the types it takes, and what makes a value legal.

    Attributes:
        default: the value used when a config does not name the key.
        types: accepted Python types; an int is accepted where a float is asked for.
        legal: says whether a value of the right type is legal.
        says: what a legal value is, in words, for the error message.
    """

    default: Any
    types: tuple[type, ...]
    legal: Callable[[Any], bool] = lambda value: True
    says: str = ""


def _positive(value: float | None) -> bool:
    return value is None or value > 0


def _one_of(*names: str) -> dict[str, Any]:
    return {"legal": lambda value: value in names, "says": "one of " + ", ".join(names)}


def _factor_legal(value: float | tuple) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(v, (int, float)) and 0 < v < math.inf for v in value)
    return 0 < value < 1


def _all_words(value: tuple) -> bool:
    return all(isinstance(word, str) and word for word in value)


def _augmentations_legal(entries: tuple) -> bool:
    read_augmentations(entries)  # raises, and says more than "must be": every name has parameters of its own
    return True


_NUMBER = (int, float)
_SHARE = {"legal": lambda v: 0 <= v < 1, "says": "a number in [0, 1)"}
_OPTIONAL_SHARE = {"legal": lambda v: v is None or 0 <= v < 1, "says": "a number in [0, 1), or None for the rule's own"}
_PATTERNS = {"legal": _all_words, "says": "a tuple of patterns of parameter paths, such as ('conv1', 'block*/bias')"}
_OPTIONAL_NUMBER = (int, float, type(None))
_OPTIONAL_INT = (int, type(None))
_EVERY = {"legal": _positive, "says": "a positive number of steps, or None for once an epoch"}

SCHEMA: dict[str, Field] = {
    "data": Field("shapes", (str,), says="shapes, shapes:64, folder:PATH or tfds:NAME"),
    "image_size": Field(
        None, _OPTIONAL_INT, _positive, "a positive number of pixels, or None for the images' own size"
    ),
    "fit": Field("none", (str,), **_one_of("none", "pad", "resize")),
    "train_images": Field(
        None, _OPTIONAL_INT, _positive, "a positive number of training images, or None for all there are"
    ),
    "validation": Field(0.1, _NUMBER, lambda v: 0 <= v < 1, "a fraction of the training images in [0, 1)"),
    "input": Field("auto", (str,), **_one_of("auto", "device", "stream")),
    "workers": Field(0, (int,), lambda v: 0 <= v <= 256, "a number of processes that read data, 0 to 256"),
    "seed": Field(0, (int,), lambda v: 0 <= v < 2**31, "an integer in [0, 2^31)"),
    "batch_size": Field(128, (int,), _positive, "a positive integer"),
    "total_steps": Field(None, _OPTIONAL_INT, _positive, "a positive number of steps"),
    "total_epochs": Field(None, _OPTIONAL_NUMBER, _positive, "a positive number of epochs"),
    "total_examples": Field(None, _OPTIONAL_INT, _positive, "a positive number of examples"),
    "accumulate": Field(1, (int,), _positive, "in how many parts, one after another, a batch is computed"),
    "label_smoothing": Field(0.0, _NUMBER, **_SHARE),
    "aux_weight": Field(0.3, _NUMBER, lambda v: v >= 0, "the weight of auxiliary losses, at least 0"),
    "augment": Field((), (tuple,), _augmentations_legal, "a tuple of augmentations, such as ('flip', 'pad_crop:4')"),
    "log_every": Field(50, (int,), _positive, "a positive number of steps"),
    "eval_every": Field(None, _OPTIONAL_INT, **_EVERY),
    "checkpoint_every": Field(None, _OPTIONAL_INT, **_EVERY),
    "precision": Field("float32", (str,), **_one_of("float32", "bfloat16")),
    "parallel": Field("jit", (str,), **_one_of("jit", "pmap")),
    "num_devices": Field(None, _OPTIONAL_INT, _positive, "a positive number of devices, or None for all there are"),
    "early_stopping": Field(
        None, _OPTIONAL_INT, _positive, "a positive number of evaluations without improvement, or None for never"
    ),
    "init_from": Field(None, (str, type(None)), lambda v: v is None or bool(v), "WORKDIR or WORKDIR:STEP, or None"),
    "init_layers": Field(("*",), (tuple,), **_PATTERNS),
    "freeze": Field((), (tuple,), **_PATTERNS),
    "average.name": Field("none", (str,), **_one_of("none", "ema", "polyak")),
    "average.decay": Field(0.999, _NUMBER, **_SHARE),
    "average.start": Field(0.0, _NUMBER, lambda v: 0 <= v < 1, "a fraction of the training in [0, 1)"),
    "model.name": Field("lenet", (str,), says="a model name; `cnn-jax models` lists them"),
    "optimizer.name": Field("momentum", (str,), **_one_of(*OPTIMIZERS)),
    "optimizer.learning_rate": Field(0.05, _NUMBER, _positive, "a positive finite number"),
    "optimizer.momentum": Field(None, _OPTIONAL_NUMBER, **_OPTIONAL_SHARE),
    "optimizer.other_momentum": Field(None, _OPTIONAL_NUMBER, **_OPTIONAL_SHARE),
    "optimizer.newton_schulz": Field(
        None, _OPTIONAL_INT, _positive, "a positive number of iterations, or None for the rule's own"
    ),
    "optimizer.kernel_norm": Field(False, (bool,), says="true or false"),
    "optimizer.rho": Field(None, _OPTIONAL_NUMBER, **_OPTIONAL_SHARE),
    "optimizer.beta1": Field(None, _OPTIONAL_NUMBER, **_OPTIONAL_SHARE),
    "optimizer.beta2": Field(None, _OPTIONAL_NUMBER, **_OPTIONAL_SHARE),
    "optimizer.epsilon": Field(None, _OPTIONAL_NUMBER, _positive, "a positive number, or None for the rule's own"),
    "optimizer.sigma": Field(None, _OPTIONAL_NUMBER, _positive, "a positive number, or None for the rule's own"),
    "optimizer.candidates": Field(None, _OPTIONAL_INT, _positive, "a positive number, or None for the rule's own"),
    "optimizer.weight_decay": Field(0.0, _NUMBER, lambda v: v >= 0, "a number of at least 0"),
    "optimizer.decay": Field("kernels", (str,), **_one_of("kernels", "all")),
    "optimizer.decay_form": Field(
        None,
        (str, type(None)),
        lambda v: v in (None, "l2", "decoupled"),
        "l2, decoupled, or None for the rule's own (decoupled for adamw and muon, l2 for the others)",
    ),
    "optimizer.group_decay": Field(True, (bool,), says="true or false"),
    "optimizer.clip_norm": Field(None, _OPTIONAL_NUMBER, _positive, "a positive number, or None for no clipping"),
    "optimizer.clip_value": Field(None, _OPTIONAL_NUMBER, _positive, "a positive number, or None for no clipping"),
    "schedule.name": Field("cosine", (str,), **_one_of(*SCHEDULES)),
    "schedule.warmup_steps": Field(0, (int,), lambda v: v >= 0, "a number of steps of at least 0"),
    "schedule.warmup": Field("linear", (str,), **_one_of("linear", "constant")),
    "schedule.warmup_from": Field(0.0, _NUMBER, **_SHARE),
    "schedule.boundaries": Field(
        (0.5, 0.75),
        (tuple,),
        lambda v: all(isinstance(b, (int, float)) and 0 < b < 1 for b in v) and list(v) == sorted(set(v)),
        "increasing fractions of the training, each in (0, 1)",
    ),
    "schedule.every_epochs": Field(30, _NUMBER, _positive, "a positive number of epochs"),
    "schedule.factor": Field(
        0.1, (*_NUMBER, tuple), _factor_legal, "a number in (0, 1), or with multi_step a tuple of them, one a boundary"
    ),
    "schedule.power": Field(1.0, _NUMBER, _positive, "a positive number"),
    "schedule.end": Field(0.0, _NUMBER, **_SHARE),
    "schedule.patience": Field(5, (int,), _positive, "a positive number of evaluations"),
    "schedule.min_delta": Field(0.0, _NUMBER, **_SHARE),
    "schedule.max_cuts": Field(None, _OPTIONAL_INT, _positive, "a positive number of cuts, or None for no limit"),
}
"""Every key of a config but the model's own keywords, which `cnn_jax.models` knows, and what maps patterns."""

PATTERN_GROUPS: dict[str, tuple[str, Field]] = {
    "optimizer.groups": (
        "FACTOR",
        Field(1.0, _NUMBER, lambda v: v >= 0, "a factor of the learning rate, at least 0"),
    ),
    "optimizer.until": ("SHARE", Field(1.0, _NUMBER, lambda v: 0 < v <= 1, "a share of the training in (0, 1]")),
}
"""Groups that map patterns of parameter paths to numbers: what such a number is called, and what is legal.

`config.optimizer.groups` holds factors of learning rates; `config.optimizer.until` the share of the training in which a
parameter's learning rate runs through its whole schedule, and after which the parameter rests.
"""
DATA_KEYS = ("data", "train_images", "validation", "image_size", "fit")
"""The keys that say what is learnt from: configs that agree in them have the same images."""
GROUPS = ("model", "optimizer", "schedule", "average", *PATTERN_GROUPS)


def pattern_group(key: str) -> str | None:
    """The group of patterns that a dotted key is in, or None."""
    return next((group for group in PATTERN_GROUPS if key.startswith(group + ".")), None)


def check_combinations(flat: Mapping[str, Any]) -> None:
    """Refuses keys that are legal one by one and not together.

    Args:
        flat: every key of `SCHEMA`, dotted, each value legal by itself.

    Raises:
        ConfigError: names the key, its value and what would be legal.
    """

    def refuse(key: str, why: str) -> None:
        raise ConfigError(100, f"config.{key}={flat[key]!r} {why}")

    for group, uses in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        name = flat[f"{group}.name"]
        for constant in sorted({constant for constants in uses.values() for constant in constants} - {*uses[name]}):
            key = f"{group}.{constant}"
            if flat[key] != SCHEMA[key].default:
                theirs = ", ".join(other for other, constants in uses.items() if constant in constants)
                refuse(key, f"means nothing to config.{group}.name={name}: it is for {theirs}")
    if "candidates" in OPTIMIZERS[flat["optimizer.name"]]:
        searched = f"means nothing to config.optimizer.name={flat['optimizer.name']}, which follows no gradient"
        for key in flat:
            of_gradients = key == "freeze" or (key.startswith("optimizer.") and key.split(".")[1] in _OF_GRADIENTS)
            if of_gradients and (key not in SCHEMA or flat[key] != SCHEMA[key].default):
                refuse(key, searched)
    factor = flat["schedule.factor"]
    if isinstance(factor, tuple) and (
        flat["schedule.name"] != "multi_step" or len(factor) != len(flat["schedule.boundaries"])
    ):
        refuse("schedule.factor", "must be a number, or with multi_step a tuple as long as config.schedule.boundaries")
    if flat["schedule.warmup"] == "constant" and not flat["schedule.warmup_from"]:
        refuse("schedule.warmup", "would train at rate 0: set config.schedule.warmup_from above 0, or warmup=linear")
    if flat["optimizer.name"] == "adamw" and flat["optimizer.decay_form"] == "l2":
        refuse("optimizer.decay_form", "is not adamw, which decouples the decay: use config.optimizer.name=adam")
    if flat["optimizer.clip_norm"] is not None and flat["optimizer.clip_value"] is not None:
        refuse("optimizer.clip_value", "and config.optimizer.clip_norm are both set: set one of them")
    if not flat["optimizer.group_decay"] and not any(pattern_group(key) == "optimizer.groups" for key in flat):
        refuse("optimizer.group_decay", "means nothing without config.optimizer.groups.PATTERN=FACTOR")
    if flat["optimizer.kernel_norm"] and flat["schedule.name"] == "plateau":
        refuse("optimizer.kernel_norm", "and config.schedule.name=plateau do not go together: the cuts would soften it")
    if flat["average.decay"] != SCHEMA["average.decay"].default and flat["average.name"] != "ema":
        refuse("average.decay", "means nothing without config.average.name=ema")
    if flat["average.start"] and flat["average.name"] == "none":
        refuse("average.start", "means nothing without config.average.name=ema or polyak")
    if flat["init_layers"] != SCHEMA["init_layers"].default and flat["init_from"] is None:
        refuse("init_layers", "means nothing without config.init_from=WORKDIR")
    if flat["batch_size"] % flat["accumulate"]:
        refuse("accumulate", f"does not divide config.batch_size={flat['batch_size']}")
