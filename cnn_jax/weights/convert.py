"""`import_weights` and `export_weights`: between our variables and a source's tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from cnn_jax import models
from cnn_jax.analysis.summary import default_input
from cnn_jax.errors import ConfigError, DataError
from cnn_jax.models.keywords import did_you_mean
from cnn_jax.weights.keras_names import KERAS
from cnn_jax.weights.layout import Shape, same
from cnn_jax.weights.naming import Path, Place, Shapes, Source, family_of, places
from cnn_jax.weights.torch_names import TIMM, TORCHVISION

SOURCES: Mapping[str, Source] = {"torchvision": TORCHVISION, "timm": TIMM, "keras": KERAS}
OWN = "cnn_jax"
"""The source whose names are our own paths, `params/conv1/kernel`: every network has them."""
_SHOWN = 8


def import_weights(
    model: Any,
    tensors: Mapping[str, Any],
    source: str = "torchvision",
    *,
    input_shape: Sequence[int] | None = None,
    fresh: Iterable[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """The variables of `model` with weights that were trained elsewhere; it then gives the source's logits.

    Args:
        model: a name as in `create`, or a module.
        tensors: the source's names to arrays (NumPy, JAX or Torch): a `state_dict()`, `{w.path: w for w in
            keras_model.weights}`, or what `read_tensors` gives.
        source: `torchvision`, `timm`, `keras`, or `cnn_jax` for our own names.
        input_shape: (H, W, C) of the images; the paper's by default. What a network flattens depends on it.
        fresh: layers that keep their initial values, such as `("fc",)` to train on other classes; their tensors are
            left alone.
        seed: of those initial values.

    Returns:
        `{"params", "batch_stats"}`, float32.

    Raises:
        ConfigError: an unknown source, or a network that it does not have or computes differently.
        DataError: tensors that are missing, left over, of another shape or not finite; they are named.
    """
    module, shape = _module(model, input_shape)
    found = _find(module, shape, tensors, source, tuple(fresh))
    variables = {path: jnp.asarray(array) for path, array in found.items()}
    wanted = _shapes(module, shape)
    if len(variables) < len(wanted):
        variables |= _initial(module, shape, seed, wanted.keys() - variables.keys())
    return traverse_util.unflatten_dict(variables)


def export_weights(model: Any, variables: Mapping[str, Any], source: str = "torchvision") -> dict[str, np.ndarray]:
    """The variables of `model` under a source's names and in its layouts; `import_weights` gives them back exactly.

    Args:
        model: a name as in `create`, or a module.
        variables: `{"params", "batch_stats"}`. The map is linear: gradients can be given for `params`.
        source: as in `import_weights`.

    Returns:
        The tensors by name.

    Raises:
        ConfigError: as `import_weights`.
    """
    module = models.create(model) if isinstance(model, str) else model
    arrays = {path: np.asarray(array) for path, array in _flat(dict(variables)).items()}
    where = _places(module, source, {path: array.shape for path, array in arrays.items()})
    tensors = {place.name: place.layout.outward(arrays[path]) for path, place in where.items()}
    tensors |= {place.less: np.zeros_like(tensors[place.name]) for place in where.values() if place.less}
    return tensors | (_source(source).extras(where) if source != OWN else {})


def check_source(model: Any, source: str) -> None:
    """Refuses a source whose weights would not fit `model`, before any file is read.

    Raises:
        ConfigError: as `import_weights`.
    """
    if source != OWN:
        family_of(_source(source), source, model)


def _module(model: Any, input_shape: Sequence[int] | None) -> tuple[Any, Shape]:
    if isinstance(model, str):
        return models.create(model), tuple(input_shape or default_input(model))
    if input_shape is None:
        raise ConfigError(274, "weights for a module need input_shape=(H, W, C): what it flattens depends on it")
    return model, tuple(input_shape)


def _source(source: str) -> Source:
    if source not in SOURCES:
        raise ConfigError(270, f"unknown source {source!r}{did_you_mean(source, (*SOURCES, OWN))}")
    return SOURCES[source]


def _shapes(module: Any, shape: Shape) -> Shapes:
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    tree = jax.eval_shape(lambda key, x: module.init({"params": key, "dropout": key}, x), jax.random.key(0), image)
    return {path: leaf.shape for path, leaf in _flat(tree).items()}


def _places(module: Any, source: str, shapes: Shapes) -> dict[Path, Place]:
    if source == OWN:
        return {path: Place("/".join(path), same(shape)) for path, shape in shapes.items()}
    return places(_source(source), source, module, shapes)


def _initial(module: Any, shape: Shape, seed: int, paths: Iterable[Path]) -> dict[Path, jax.Array]:
    """Initial values of some leaves; the compiler leaves the others out."""

    def chosen(key: jax.Array) -> dict[Path, jax.Array]:
        flat = _flat(module.init({"params": key, "dropout": key}, jnp.zeros((1, *shape), jnp.float32)))
        return {path: flat[path] for path in paths}

    return jax.jit(chosen)(jax.random.key(seed))


def _flat(variables: Any) -> dict[Path, Any]:
    return dict(traverse_util.flatten_dict(variables))


def _find(
    module: Any, shape: Shape, tensors: Mapping[str, Any], source: str, fresh: tuple[str, ...]
) -> dict[Path, np.ndarray]:
    """Our arrays out of a source's tensors, without the fresh ones."""
    shapes = _shapes(module, shape)
    where = _places(module, source, shapes)
    there = dict(tensors) if source == OWN else _source(source).canonical(tensors)
    kept = {path for path in where if _within("/".join(path[1:-1]), fresh)}
    for name in fresh:
        if not any(_within("/".join(path[1:-1]), (name,)) for path in where):
            layers = sorted({path[1] for path in where})
            raise ConfigError(275, f"fresh={name!r} is no layer with weights{did_you_mean(name, layers)}")
    needed = {
        name: place.layout.shape
        for path, place in where.items()
        if path not in kept
        for name in (place.name, place.less)
        if name
    }
    owned = {name for place in where.values() for name in (place.name, place.less)}
    known = owned | (_source(source).extras(where).keys() if source != OWN else set())
    optional = family_of(_source(source), source, module).optional if source != OWN else r"(?!)"
    left = [name for name in there if name not in known and not re.fullmatch(optional, name)]
    _refuse(source, needed, there, left)
    arrays = {name: _array(there[name]) for name in needed}
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise DataError(121, f"{source}: {_listed(broken)} hold values that are not finite")
    return {
        path: place.layout.inward(
            arrays[place.name] - arrays[place.less] if place.less else arrays[place.name], shapes[path]
        )
        for path, place in where.items()
        if path not in kept
    }


def _within(layer: str, names: Iterable[str]) -> bool:
    return any(layer == name or layer.startswith(f"{name}/") for name in names)


def _refuse(source: str, needed: Mapping[str, Shape], there: Mapping[str, Any], left: list[str]) -> None:
    """One line for all that does not fit."""
    missing = [name for name in needed if name not in there]
    wrong = [
        f"{name} {list(there[name].shape)}, here {list(shape)}"
        for name, shape in needed.items()
        if name in there and tuple(there[name].shape) != shape
    ]
    faults = [
        f"{len(names)} {what} ({_listed(names, separator)})"
        for what, names, separator in (
            ("missing", missing, ", "),
            ("left over", left, ", "),
            ("of another shape", wrong, "; "),
        )
        if names
    ]
    if faults:
        hint = ""
        if wrong and not missing and not left:
            hint = ": set the model's num_classes or width, input_shape, or fresh for layers to be trained anew"
        raise DataError(120, f"the tensors are not this network's in {source}: {', '.join(faults)}{hint}")


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return separator.join(names[:_SHOWN]) + more


def _array(tensor: Any) -> np.ndarray:
    """float32, from NumPy, JAX, Torch or Keras, whatever the precision there."""
    if hasattr(tensor, "detach"):  # Torch, which may be on a device or carry a gradient
        tensor = tensor.detach().cpu().float().numpy()
    elif hasattr(tensor, "numpy"):
        tensor = tensor.numpy()
    return np.asarray(tensor).astype(np.float32)
