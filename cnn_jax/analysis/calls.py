"""Values across equations that say nothing of layers: constants, calls of other jaxprs, loops and branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr

from cnn_jax.analysis.dataflow import everything, field_after, without
from cnn_jax.analysis.field import Field, join, over
from cnn_jax.analysis.kinds import KEEPS_SCALAR
from cnn_jax.analysis.values import Value


def inherited(inputs: Sequence[Value], shape, field: Field) -> Value:
    """A value that stands for what its operands stood for; of several layers, the latest."""
    data = [v for v in inputs if v.is_data]
    layer = max((v.layer for v in data if v.layer), key=lambda layer: layer.number, default=None)
    return Value(tuple(shape), field=field, layer=layer, tentative=frozenset().union(*(v.tentative for v in data)))


def further(equation, output: int, inputs: Sequence[Value], first: Value) -> Value:
    """A second output of an equation, such as the places of the maxima."""
    shape = tuple(equation.outvars[output].aval.shape)
    if shape == first.shape:
        return first
    return inherited(inputs, shape, field_after(equation.primitive.name, equation.params, inputs, shape))


def body_of(primitive: str, params: dict[str, Any], arguments: int) -> ClosedJaxpr | None:
    """The jaxpr that an equation calls with its own operands, if it is such a call."""
    if primitive.startswith(("reduce", "scatter", "select_and")):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        body = closed(params.get(name))
        if isinstance(body, ClosedJaxpr) and len(body.jaxpr.invars) == arguments:
            return body
    return None


def closed(body: Any) -> Any:
    """A body as newer and older versions of JAX hand it over, with its constants."""
    return ClosedJaxpr(body, ()) if isinstance(body, Jaxpr) else body


def without_image(equation, inputs: Sequence[Value]) -> list[Value]:
    """Outputs of an equation on variables and constants alone; constants can be computed when asked for."""
    primitive, params = equation.primitive, equation.params
    leaves = frozenset().union(*(v.leaves for v in inputs))
    scalar = inputs[0].scalar if len(inputs) == 1 and primitive.name in KEEPS_SCALAR else None
    known = not leaves and all(v.compute is not None for v in inputs)

    def compute(memo: dict, output: int):
        if id(equation) not in memo:
            memo[id(equation)] = primitive.bind(*(v.compute(memo) for v in inputs if v.compute), **params)
        return memo[id(equation)][output] if primitive.multiple_results else memo[id(equation)]

    return [
        Value(
            tuple(getattr(var.aval, "shape", ())),
            leaves=leaves,
            scalar=scalar,
            compute=partial(compute, output=i) if known else None,
        )
        for i, var in enumerate(equation.outvars)
    ]


def opaque(inputs: Sequence[Value], shape) -> Value:
    """An output that may depend on everything."""
    leaves = frozenset().union(*(v.leaves for v in inputs))
    if not any(v.is_data for v in inputs):
        return Value(tuple(shape), leaves=leaves)
    return inherited(inputs, shape, everything(inputs))


def one_turn(value: Value) -> Value:
    """One turn's part of what a loop runs over."""
    field = value.field and without(value.field, (0,), value.shape)
    return replace(value, shape=value.shape[1:], field=field, pads=None, compute=None)


def stacked(values: list[Value]) -> Value:
    """What a loop collects from its turns."""
    value = merged(values)
    field = value.field and over(value.field, lambda axis: axis.renamed(lambda dim: dim + 1))
    return replace(value, shape=(len(values), *value.shape), field=field)


def merged(values: list[Value]) -> Value:
    """A value that is one of several."""
    leaves = frozenset().union(*(v.leaves for v in values))
    data = [v for v in values if v.is_data]
    if not data:
        return Value(values[0].shape, leaves=leaves)
    field = join(v.field for v in data if v.field is not None)
    return replace(inherited(values, values[0].shape, field), leaves=leaves)
