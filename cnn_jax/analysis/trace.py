"""Traces a Linen model on shapes alone: no arithmetic, no parameters in memory.

Every module call leaves two marks in the jaxpr: a name scope that says which call an equation belongs to, and an
identity equation that says which value the call returned. The reader finds names and module boundaries by these, and
needs to know no class.
"""

from __future__ import annotations

import dataclasses
import gc
import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import ClosedJaxpr

from cnn_jax.errors import GeometryError
from cnn_jax.ops import plain_ops
from cnn_jax.ops.geometry import canonical_padding, per_dimension, window_output

_EVALUATION = {"train": False, "training": False, "is_training": False, "deterministic": True}
_SCOPE = re.compile(r"^@call(\d+)$")
_RESULT = re.compile(r"^@result(\d+)$")


@dataclass
class Call:
    """One call of one module.

    Attributes:
        path: the module's path in the model, `()` for the model itself.
        class_name: its class, without the prefixes of Flax's lifted transforms.
        settings: its fields that are strings, such as the name of an activation.
        leaf: whether it called no other module.
    """

    path: tuple[str, ...]
    class_name: str
    settings: dict[str, str]
    leaf: bool = True


class Leaf(NamedTuple):
    """One variable of the model.

    Attributes:
        collection: `params`, `batch_stats` or another.
        path: module path and name.
        shape: its shape.
        dtype: its type.
    """

    collection: str
    path: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Any


@dataclass
class Trace:
    """A model as one jaxpr.

    Attributes:
        jaxpr: inputs are the leaves, then the image batch [1, H, W, C].
        leaves: the variables, in the order of the jaxpr's inputs.
        outputs: the structure of what the model returns, a leaf for every output of the jaxpr.
        calls: module calls, in order.
        input_shape: the image, (H, W, C).
    """

    jaxpr: ClosedJaxpr
    leaves: list[Leaf]
    input_shape: tuple[int, ...]
    outputs: Any
    calls: list[Call] = field(default_factory=list)


def trace(model: nn.Module, input_shape: Sequence[int], *, dtype=jnp.float32, **kwargs) -> Trace:
    """Traces a model's forward pass at batch size 1, in evaluation mode unless told otherwise.

    Args:
        model: any Linen module that maps a batch [N, H, W, C] (or any rank) to its outputs.
        input_shape: one input without the batch dimension, (H, W, C).
        dtype: of the input.
        kwargs: passed to the model's `__call__`; `train=False` and `deterministic=True` are, where it takes them.

    Raises:
        GeometryError: a layer without output, or an input shape that is none.
    """
    shape = _checked_shape(input_shape)
    image = jax.ShapeDtypeStruct((1, *shape), dtype)
    settings: dict[str, Any] = _evaluation_mode(model) | kwargs
    variables = shapes(model, shape, dtype=dtype, **kwargs)
    calls: list[Call] = []

    def forward(variables, x):
        if not _is_training(settings):
            return model.apply(variables, x, **settings)
        changing = [name for name in variables if name != "params"]
        return model.apply(variables, x, rngs={"dropout": jax.random.key(0)}, mutable=changing, **settings)[0]

    with plain_ops(), _collector_paused(), nn.intercept_methods(_marker(calls)):
        jaxpr, returned = jax.make_jaxpr(forward, return_shape=True)(variables, image)
    leaves = [_leaf(path, value) for path, value in jax.tree_util.tree_leaves_with_path(variables)]
    return Trace(jaxpr, leaves, shape, jax.tree.structure(returned), calls)


def shapes(model: nn.Module, input_shape: Sequence[int], *, dtype=jnp.float32, **kwargs) -> Any:
    """Shapes of a model's variables; arguments and errors as in `trace`.

    Returns:
        The tree of variables, each leaf a `jax.ShapeDtypeStruct`.
    """
    image = jax.ShapeDtypeStruct((1, *_checked_shape(input_shape)), dtype)
    settings: dict[str, Any] = _evaluation_mode(model) | kwargs
    key = jax.eval_shape(lambda: jax.random.key(0))

    def init(key, x):
        return model.init({"params": key, "dropout": key}, x, **settings)

    with plain_ops(), _collector_paused(), nn.intercept_methods(_refuse_empty):
        return jax.eval_shape(init, key, image)


def call_of(name_stack) -> int | None:
    """Number of the innermost module call in an equation's name stack."""
    for scope in reversed(name_stack.stack):
        found = _SCOPE.match(getattr(scope, "name", ""))
        if found:
            return int(found.group(1))
    return None


def result_of(name: str) -> int | None:
    """Number of the call that a marked value was returned by, or None if it is no such mark."""
    found = _RESULT.match(name)
    return int(found.group(1)) if found else None


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A deep network's trace is millions of live objects, which the collector would walk through again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _leaf(path, value) -> Leaf:
    names = tuple(str(entry.key) for entry in path if isinstance(entry, jax.tree_util.DictKey))
    return Leaf(names[0], names[1:], value.shape, value.dtype)


def _checked_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    try:
        shape = tuple(int(size) for size in input_shape)
    except (TypeError, ValueError):
        raise GeometryError(30, f"input shape {input_shape!r} is none: use sizes such as 224,224,3") from None
    if not shape or min(shape) < 1:
        raise GeometryError(30, f"input shape {shape} holds no pixel: use sizes of at least 1 such as 224,224,3")
    return shape


def _evaluation_mode(model: nn.Module) -> dict[str, Any]:
    parameters = inspect.signature(type(model).__call__).parameters if callable(model) else {}
    return {name: mode for name, mode in _EVALUATION.items() if name in parameters}


def _is_training(settings: dict[str, Any]) -> bool:
    return any(name in settings and bool(settings[name]) != mode for name, mode in _EVALUATION.items())


def _marker(calls: list[Call]):
    """An interceptor that marks scope and result of every module call."""
    open_calls: list[int] = []

    def mark(next_method, args, kwargs, context):
        if context.method_name != "__call__":
            return next_method(*args, **kwargs)
        if open_calls:
            calls[open_calls[-1]].leaf = False
        number = len(calls)
        calls.append(_call(context.module))
        open_calls.append(number)
        try:
            with jax.named_scope(f"@call{number}"):
                result = next_method(*args, **kwargs)
                return jax.tree.map(lambda x: _marked(x, f"@result{number}"), result)
        finally:
            open_calls.pop()

    return mark


def _call(module: nn.Module) -> Call:
    name = re.sub(r"^(Checkpoint|Remat|Jit|Vmap|Scan)(?=[A-Z])", "", type(module).__name__)
    fields = (f.name for f in dataclasses.fields(module) if f.name not in ("name", "parent"))
    settings = {name: getattr(module, name, None) for name in fields}
    return Call(module.path, name, {name: value for name, value in settings.items() if isinstance(value, str)})


def _marked(value, name: str):
    inexact = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.inexact)
    return checkpoint_name(value, name) if inexact else value


def _refuse_empty(next_method, args, kwargs, context):
    """An interceptor that names the layer where a map has become empty: Flax would go on and return NaN."""
    path = "/".join(context.module.path)
    for value in jax.tree.leaves((args, kwargs)):
        if 0 in getattr(value, "shape", ()):
            raise GeometryError(
                31, f"is given an empty map of shape {_map(value)} by what stands before it: {_EMPTY}", path or "input"
            )
    result = next_method(*args, **kwargs)
    if context.method_name == "__call__":
        for value in jax.tree.leaves(result):
            if 0 in getattr(value, "shape", ()):
                _refuse_window(context.module, args, path)
                raise GeometryError(31, f"leaves an empty map of shape {_map(value)}: {_EMPTY}", path)
    return result


def _refuse_window(module: nn.Module, args, path: str) -> None:
    """Says by the numbers why a layer leaves nothing, if it has the fields that convolutions and poolings have."""
    kernel, padding = getattr(module, "kernel_size", None), getattr(module, "padding", None)
    if kernel is None or padding is None or not args:
        return
    try:
        rank, sizes = len(kernel), args[0].shape[1:-1]
        strides, dilation = (
            per_dimension(getattr(module, name, None) or 1, rank, name) for name in ("strides", "kernel_dilation")
        )
        pads = canonical_padding(padding, kernel, strides, dilation, sizes)
    except (TypeError, ValueError, AttributeError, GeometryError):
        return  # fields of these names that mean something else
    try:
        window_output(sizes, kernel, strides, pads, dilation)
    except GeometryError as error:
        raise error.at(path) from None


_EMPTY = "use a smaller kernel, more padding, fewer strides before it, or a larger input"


def _map(value) -> tuple[int, ...]:
    return tuple(value.shape[1:])
