"""Every operation says what shapes it takes and gives, and where it comes from."""

from __future__ import annotations

import inspect
import re
import sys
import types

import pytest

from cnn_jax import ops

_SOURCE = re.compile(r"\b(18|19|20)\d\d\b|AlexNet|LeNet|[Ll]ecture|Zeiler|numpy\.pad|Caffe")
# Switches and a table's look-up take no arrays; augmentations have their own tests.
OPERATIONS = {
    name: value
    for name, value in vars(ops).items()
    if isinstance(value, types.FunctionType)
    and name not in ("plain_ops", "relu_rule", "activation")
    and not value.__module__.startswith("cnn_jax.ops.augment")
}


def types_of(function) -> list[str]:
    signature = inspect.signature(function)
    written = [p.annotation for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    return [str(a) for a in (*written, signature.return_annotation)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_arrays_are_written_with_their_shapes(name):
    for annotation in types_of(OPERATIONS[name]):
        assert annotation != str(inspect.Parameter.empty), f"{name} leaves a parameter or its result unannotated"
        # `x: Array` would say nothing: shapes are written as Float[Array, "n h w c"].
        bare = re.sub(r"""\w+\[(np\.nd)?[Aa]rray, (["'][^"']*["']|\d)\]""", "", annotation)
        assert "Array" not in bare, f"{name}: {annotation}"


@pytest.mark.parametrize("name", OPERATIONS)
def test_sources_stand_in_the_docstring(name):
    function = OPERATIONS[name]
    module = sys.modules[function.__module__].__doc__ or ""
    assert _SOURCE.search(f"{inspect.getdoc(function)}\n{module}"), f"{name} names no paper and no lecture"
