"""Reads a traced model: follows every value from the image to the outputs and finds the layers on the way.

The reader knows primitives, not classes: a convolution is a `conv_general_dilated`, whoever wrote it. Module calls only
give names and say what belongs together: a module that calls no other is one layer, whatever it is made of.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

from cnn_jax.analysis.calls import (
    body_of,
    closed,
    further,
    inherited,
    merged,
    one_turn,
    opaque,
    stacked,
    without_image,
)
from cnn_jax.analysis.dataflow import field_after
from cnn_jax.analysis.field import image_field
from cnn_jax.analysis.kinds import (
    ACTIVATIONS,
    AVERAGED,
    GLOBAL_POOLS,
    NORMALISING,
    PARTS,
    POOLS,
    PRIMITIVE_ACTIVATIONS,
    REDUCTIONS,
    SELF_GATED,
    TENTATIVE,
    WINDOWED,
    kind_of_module,
)
from cnn_jax.analysis.trace import Trace, call_of, result_of
from cnn_jax.analysis.values import Layer, Pairs, Value, constant
from cnn_jax.analysis.windows import convolution, pooling

_LONGEST_LOOP = 4096


class Reader:
    """Walks one trace; `read` gives the layers in order.

    Attributes:
        layers: found so far.
        uses: for each variable, the layers that read it, in order.
        weights: variables that are kernels of a convolution or matrices of a dense layer.
        outputs: what the model returns, once it is read.
    """

    def __init__(self, trace: Trace):
        self.trace = trace
        self.layers: list[Layer] = []
        self.uses: dict[int, list[Layer]] = defaultdict(list)
        self.weights: set[int] = set()
        self.outputs: list[Value] = []
        self._of_call: dict[tuple[int | None, tuple[int, ...]], list[Layer]] = defaultdict(list)
        self._statistics = frozenset(i for i, leaf in enumerate(trace.leaves) if leaf.collection == "batch_stats")

    def read(self) -> list[Layer]:
        """All layers of the model."""
        closed, shape = self.trace.jaxpr, (1, *self.trace.input_shape)
        variables = [Value(leaf.shape, leaves=frozenset({i})) for i, leaf in enumerate(self.trace.leaves)]
        image = Value(shape, field=image_field(shape))
        self.outputs = self._run(closed.jaxpr, list(map(constant, closed.consts)), [*variables, image], None, ())
        return [layer for layer in self.layers if not layer.dropped]

    def _run(self, jaxpr: Jaxpr, consts, args, call: int | None, turn: tuple[int, ...]) -> list[Value]:
        """Interprets a jaxpr; values of its outputs."""
        known: dict[Var, Value] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

        def value(atom) -> Value:
            return constant(atom.val) if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            inner = call_of(equation.source_info.name_stack)
            inputs = [value(atom) for atom in equation.invars]
            outputs = self._equation(equation, inputs, call if inner is None else inner, turn)
            known.update(zip(equation.outvars, outputs, strict=True))
        return [value(atom) for atom in jaxpr.outvars]

    def _equation(self, equation, inputs: list[Value], call: int | None, turn: tuple[int, ...]) -> list[Value]:
        name, params = equation.primitive.name, equation.params
        if name == "scan" and params["length"] <= _LONGEST_LOOP:
            return self._scan(equation, inputs, call, turn)
        if name == "cond":
            return self._branches(equation, inputs, call, turn)
        body = body_of(name, params, len(inputs))
        if body is None and name == "while":
            return self._loop(equation, inputs, call, turn)
        if body is not None:
            return self._called(equation, body, inputs, call, turn)
        if not any(v.is_data for v in inputs):
            return without_image(equation, inputs)
        first = self._data(equation, inputs, call, turn)
        return [first, *(further(equation, i, inputs, first) for i in range(1, len(equation.outvars)))]

    # Sub-jaxprs

    def _called(self, equation, body: ClosedJaxpr, inputs, call, turn) -> list[Value]:
        name = str(equation.params.get("name", "")).lstrip("_")
        named = name in ACTIVATIONS or name == "resize"
        if not (named and any(v.is_data for v in inputs)):
            return self._run(body.jaxpr, list(map(constant, body.consts)), inputs, call, turn)
        before = len(self.layers)
        outputs = self._run(body.jaxpr, list(map(constant, body.consts)), inputs, call, turn)
        self._drop(self.layers[before:], force=True)
        written = self._written(name, outputs[0], equation.outvars[0].aval, call, turn)
        return [written, *outputs[1:]]

    def _scan(self, equation, inputs, call, turn) -> list[Value]:
        """A loop over stacked layers, each turn read by itself."""
        body = closed(equation.params["jaxpr"])
        # How many operands are carried is written differently in every version of JAX; what is stacked has one axis
        # more outside of the body than inside, in all of them.
        n_stacked = _longer(equation.invars, body.jaxpr.invars)
        n_carry = len(equation.outvars) - _longer(equation.outvars, body.jaxpr.outvars)
        split = len(inputs) - n_stacked
        fixed, carry = inputs[: split - n_carry], inputs[split - n_carry : split]
        rows = [one_turn(v) for v in inputs[split:]]
        outputs: list[list[Value]] = []
        for i in range(equation.params["length"]):
            out = self._run(body.jaxpr, list(map(constant, body.consts)), [*fixed, *carry, *rows], call, (*turn, i))
            carry, collected = out[:n_carry], out[n_carry:]
            outputs.append(collected)
        return [*carry, *(stacked(list(column)) for column in zip(*outputs, strict=True))]

    def _branches(self, equation, inputs, call, turn) -> list[Value]:
        results = [
            self._run(b.jaxpr, list(map(constant, b.consts)), inputs[1:], call, turn)
            for b in equation.params["branches"]
        ]
        return [merged(list(column)) for column in zip(*results, strict=True)]

    def _loop(self, equation, inputs, call, turn) -> list[Value]:
        """A loop of unknown length: its body is read once, its outputs may depend on everything."""
        params = equation.params
        n_cond, body = params["cond_nconsts"], params["body_jaxpr"]
        self._run(body.jaxpr, list(map(constant, body.consts)), inputs[n_cond:], call, turn)
        return [opaque(inputs, var.aval.shape) for var in equation.outvars]

    # Equations on data

    def _data(self, equation, inputs: list[Value], call, turn) -> Value:
        name, params = equation.primitive.name, equation.params
        aval = equation.outvars[0].aval
        shape = tuple(getattr(aval, "shape", ()))
        if name == "name":
            return self._returned(params["name"], inputs[0], aval, turn)
        if name == "conv_general_dilated":
            return self._convolution(params, inputs, aval, call, turn)
        if name.startswith("reduce_window"):
            return self._pooling(name, params, inputs, aval, call, turn)
        field = field_after(name, params, inputs, shape)
        value = inherited(inputs, shape, field)
        if name == "dot_general":
            return self._dense(params, inputs, value, aval, call, turn)
        if name in ("pad", "concatenate", "slice"):
            return self._moved(name, params, inputs, value, aval, call, turn)
        if name in REDUCTIONS:
            return self._reduction(name, params, inputs[0], value, aval, call, turn)
        if name == "reshape" and _interleaved(inputs[0], value):
            larger = value.layer is not None and math.prod(shape) > math.prod(value.layer.shape)
            return self._written("upsample" if larger else "depth_to_space", value, aval, call, turn)
        if name == "neg":
            return _negated(value, inputs[0])
        return self._elementwise(name, inputs, value, aval, call, turn)

    def _convolution(self, params, inputs, aval, call, turn) -> Value:
        image, kernel = inputs
        if image.field is None or kernel.field is not None:
            return opaque(inputs, aval.shape)
        kind, geometry, field = convolution(params, image, kernel, aval.shape)
        trained = bool(kernel.leaves)
        if not trained:
            geometry["macs"] = 0
            kind = "filter" if kind == "conv" else kind
        value = Value(tuple(aval.shape), field=field)
        return self._written(kind, value, aval, call, turn, leaves=kernel.leaves, matrix=trained, **geometry)

    def _dense(self, params, inputs, value: Value, aval, call, turn) -> Value:
        both = all(v.is_data for v in inputs)
        matrix = next((v for v in inputs if not v.is_data), None)
        contracted = int(np.prod([inputs[0].shape[dim] for dim in params["dimension_numbers"][0][0]], dtype=np.int64))
        if both:
            return self._written("matmul", value, aval, call, turn)
        assert matrix is not None
        if not matrix.leaves:
            return self._written("filter", value, aval, call, turn)
        macs = contracted * int(np.prod(aval.shape, dtype=np.int64))
        return self._written("dense", value, aval, call, turn, leaves=matrix.leaves, matrix=True, macs=macs)

    def _pooling(self, name: str, params, inputs, aval, call, turn) -> Value:
        image = inputs[0]
        if image.field is None:
            return opaque(inputs, aval.shape)
        geometry, field, moving = pooling(params, image, aval.shape)
        value = Value(tuple(aval.shape), field=field, negated=image.negated, tentative=image.tentative)
        if not moving or not set(moving) & set(image.spatial_dims):
            if not moving:
                return replace(value, layer=image.layer)
            return self._written("channel_window", value, aval, call, turn)
        reducer = name.removeprefix("reduce_window").lstrip("_") or _reducer(params)
        written = self._written(POOLS.get(reducer, "pool"), value, aval, call, turn, **geometry)
        return replace(written, negated=image.negated)

    def _reduction(self, name, params, image: Value, value: Value, aval, call, turn) -> Value:
        """A mean or maximum over the map: global pooling, unless it turns out a statistic of a normalisation."""
        dims, channels = set(params["axes"]), len(image.shape) - 1
        if image.spatial_dims and dims >= set(image.spatial_dims) and channels not in dims:
            return self._written(REDUCTIONS[name], value, aval, call, turn)
        statistic = Layer("statistic", call, turn, value.shape, aval.dtype.itemsize, value.field or ())
        return replace(value, tentative=value.tentative | {statistic})

    def _moved(self, name, params, inputs, value: Value, aval, call, turn) -> Value:
        data = [v for v in inputs if v.is_data]
        first = data[0]
        if name == "pad":
            return replace(value, pads=_pads(first, params["padding_config"]), layer=first.layer)
        if name == "slice":
            cut = [dim for dim in first.spatial_dims if value.shape[dim] != first.shape[dim]]
            return self._written("crop", value, aval, call, turn) if cut else value
        dim = params["dimension"]
        inputs = [v for v in inputs if 0 not in v.shape]
        data = [v for v in inputs if v.is_data]
        if len(inputs) == 1:
            return data[0]
        main = max(data, key=lambda v: v.shape[dim])
        if any(dim in v.spatial_dims for v in data):
            self._drop(layer for v in data for layer in v.tentative - main.tentative if layer.kind == "crop")
            before = sum(v.shape[dim] for v in inputs[: inputs.index(main)])
            after = value.shape[dim] - before - main.shape[dim]
            config = [(before, after, 0) if d == dim else (0, 0, 0) for d in range(len(value.shape))]
            return replace(value, pads=_pads(main, config), layer=main.layer, tentative=main.tentative)
        if len({v.layer for v in data}) < 2:
            return value
        return self._written("concat", value, aval, call, turn)

    def _elementwise(self, name: str, inputs, value: Value, aval, call, turn) -> Value:
        data = [v for v in inputs if v.is_data]
        others = [v for v in inputs if not v.is_data]
        leaves = frozenset().union(*(v.leaves for v in others))
        value = self._without_statistics(data, value)
        layer = value.layer
        if leaves & self._statistics and not (layer and layer.kind == "batch_norm" and layer.call == call):
            value = self._written("batch_norm", value, aval, call, turn, leaves=leaves)
        elif name in NORMALISING and value.tentative:
            value = self._normalised(value, aval, call, turn)
        elif name in PRIMITIVE_ACTIVATIONS:
            value = self._written(PRIMITIVE_ACTIVATIONS[name], value, aval, call, turn)
        elif name == "max" and any(v.scalar == 0 for v in others):
            value = self._written("relu", value, aval, call, turn)
        elif name in ("add", "add_any", "max") and _separate(data):
            value = self._written("maximum" if name == "max" else "add", value, aval, call, turn)
        elif name == "mul" and layer is not None and _gated_by_itself(data, layer):
            layer.kind = SELF_GATED[layer.kind]
        elif name in ("div", "mul") and layer is not None and others:
            layer.kind = AVERAGED.get(layer.kind, layer.kind)
        elif name == "convert_element_type":
            value = replace(value, pads=data[0].pads, negated=data[0].negated)
        if value.layer is not None:
            _grow(value.layer, value, call)
            for leaf in leaves:
                self.uses[leaf].append(value.layer)
        return value

    def _normalised(self, value: Value, aval, call, turn) -> Value:
        """A root or power over statistics of the map: what led to it was one normalisation."""
        kinds = {layer.kind for layer in value.tentative}
        local = kinds & {"channel_window", "filter"}
        kind = "local_response_norm" if local else "norm"
        if not local and not kinds & {"statistic", *GLOBAL_POOLS}:
            return value
        if value.layer is not None and value.layer.call == call and value.layer.kind == kind:
            return value
        self._drop(layer for layer in value.tentative if layer.kind in ("channel_window", "filter"))
        return replace(self._written(kind, value, aval, call, turn), tentative=value.tentative)

    def _without_statistics(self, data: Sequence[Value], value: Value) -> Value:
        """A pooled value that meets the map it was pooled from was a statistic of it, not a layer."""
        maps = [v for v in data if v.spatial_dims]
        pooled = [v for v in data if not v.spatial_dims]
        if not maps or not pooled:
            return value
        found = frozenset().union(*(v.tentative for v in pooled))
        self._drop(layer for layer in found if layer.kind.startswith("global") or layer.kind == "relu")
        return value

    def _returned(self, mark: str, value: Value, aval, turn) -> Value:
        """The result of a module call: a module that calls no other is a layer, found or not."""
        number = result_of(mark)
        if number is None or not self.trace.calls[number].leaf:
            return value
        call = self.trace.calls[number]
        found = [layer for layer in self._of_call[number, turn] if not layer.dropped]
        if not found:
            return self._written(kind_of_module(call.class_name, call.settings, []), value, aval, number, turn)
        if _parallel(found):
            whole = found[0]
            whole.macs, whole.groups = sum(layer.macs for layer in found), None
            whole.leaves = whole.leaves.union(*(layer.leaves for layer in found))
            whole.shape, whole.field = value.shape, value.field or ()
            self._drop(found[1:], force=True)
            return replace(value, layer=whole)
        if all(layer.kind in PARTS for layer in found):
            self._drop(found[:-1], force=True)
            found[-1].kind = kind_of_module(call.class_name, call.settings, [layer.kind for layer in found])
        if len(found) == 1 or found[-1].kind not in WINDOWED:
            found[-1].shape, found[-1].field = value.shape, value.field or ()
        return replace(value, layer=found[-1], tentative=value.tentative & set(found))

    # Layers

    def _written(self, kind, value: Value, aval, call, turn, *, leaves=frozenset(), matrix=False, **geometry) -> Value:
        itemsize = aval.dtype.itemsize
        layer = Layer(kind, call, turn, value.shape, itemsize, value.field or (), number=len(self.layers), **geometry)
        layer.after = value.layer
        self.layers.append(layer)
        self._of_call[call, turn].append(layer)
        layer.leaves |= leaves
        for leaf in leaves:
            self.uses[leaf].append(layer)
        if matrix:
            self.weights |= leaves
        kept = value.tentative | {layer} if kind in TENTATIVE else frozenset()
        return replace(value, layer=layer, tentative=kept, pads=None, negated=False)

    def _drop(self, layers, *, force: bool = False) -> None:
        for layer in layers:
            layer.dropped |= force or layer.kind in TENTATIVE


def _reducer(params: dict[str, Any]) -> str:
    """The operation of a general `reduce_window`."""
    body = params.get("jaxpr")
    body = body.jaxpr if isinstance(body, ClosedJaxpr) else body
    return body.eqns[0].primitive.name if body is not None and body.eqns else ""


def _negated(value: Value, source: Value) -> Value:
    """Minus a value; minus the maximum of minus something is its minimum."""
    if source.negated and source.layer is not None and source.layer.kind == "max_pool":
        source.layer.kind = "min_pool"
    return replace(value, negated=not source.negated)


def _pads(image: Value, config) -> Pairs | None:
    """Padding of a value and what is now added; None where it is no mere border."""
    if any(inner or lo < 0 or hi < 0 for lo, hi, inner in config):
        return None
    earlier = image.pads or ((0, 0),) * len(image.shape)
    return tuple((a + lo, b + hi) for (a, b), (lo, hi, _) in zip(earlier, config, strict=True))


def _separate(data: Sequence[Value]) -> bool:
    """Whether two maps of equal shape come from different layers, as at the end of a residual block."""
    if len(data) != 2 or data[0].shape != data[1].shape or data[0].layer is data[1].layer:
        return False
    return bool(data[0].spatial_dims) == bool(data[1].spatial_dims)


def _parallel(layers: Sequence[Layer]) -> bool:
    """Whether a module's layers are one convolution in several pieces side by side, as LeNet-5's C3."""
    *pieces, last = layers
    geometry = {(p.kind, p.kernel, p.strides, p.padding, p.dilation, p.field) for p in pieces}
    return len(pieces) > 1 and last.kind == "concat" and len(geometry) == 1 and pieces[0].kind == "conv"


def _interleaved(before: Value, after: Value) -> bool:
    """Whether a reshape made the map larger by dimensions that did not walk along it."""
    pairs = zip(before.field or (), after.field or (), strict=True)
    single = [(a.links[0][0], b.links[0][0]) for a, b in pairs if len(a.links) == len(b.links) == 1]
    return any(after.shape[new] > before.shape[old] for old, new in single)


def _gated_by_itself(data: Sequence[Value], layer: Layer) -> bool:
    """Whether the latest layer is an activation whose own input is multiplied by it, as in x sigmoid(x)."""
    return len(data) == 2 and layer.kind in SELF_GATED and any(v.layer is layer.after for v in data)


def _grow(layer: Layer, value: Value, call: int | None) -> None:
    """A normalisation is found at its statistics; its output is what they are applied to."""
    if layer.call == call and layer.kind.endswith("norm") and math.prod(value.shape) >= math.prod(layer.shape):
        layer.shape, layer.field = value.shape, value.field or ()


def _longer(outside, inside) -> int:
    """How many variables of a loop have another rank outside of its body than inside."""
    return sum(len(a.aval.shape) != len(b.aval.shape) for a, b in zip(outside, inside, strict=True))
