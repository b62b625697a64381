"""Convolution as a product against `lax`: value and gradient for every geometry, and under `vmap` over kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from cnn_jax import ops
from tests.once import ONCE


def reference(x, kernel, strides, pads, dilation):
    spatial = "DHW"[3 - (kernel.ndim - 2) :]
    numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    return lax.conv_general_dilated(x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=numbers)


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 2))
    window, dilation, strides = (draw(st.tuples(*[st.integers(1, 3)] * rank)) for _ in range(3))
    pads = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * rank))
    sizes = tuple(d * (k - 1) + 1 + draw(st.integers(0, 3)) for d, k in zip(dilation, window, strict=True))
    return window, strides, pads, dilation, sizes, draw(st.integers(0, 2**16))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(cases())
@example(((2, 1, 3), (1, 2, 1), ((1, 0), (0, 0), (1, 1)), (1, 1, 2), (3, 4, 5), 0))
def test_value_and_gradient_are_those_of_lax(case):
    window, strides, pads, dilation, sizes, seed = case
    keys = jax.random.split(jax.random.key(seed), 3)
    x, kernel = jax.random.normal(keys[0], (2, *sizes, 2)), jax.random.normal(keys[1], (*window, 2, 3))

    def both(conv):
        """Value and gradient, in one program: dozens of small ones take longer to compile."""

        def run(x, kernel, key):
            value, pull = jax.vjp(conv, x, kernel)
            return value, *pull(jax.random.normal(key, value.shape))

        return jax.jit(run, compiler_options=ONCE)(x, kernel, keys[2])

    expected = both(lambda x, k: reference(x, k, strides, pads, dilation))
    with ops.product_convs():
        found = both(lambda x, k: ops.conv(x, k, strides=strides, padding=pads, kernel_dilation=dilation))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow
def test_many_kernels_at_once_and_no_convolution():
    x, kernels = (
        jax.random.normal(jax.random.key(0), (4, 2, 6, 6, 3)),
        jax.random.normal(jax.random.key(1), (4, 3, 3, 3, 5)),
    )

    def many(x, kernels):
        with ops.product_convs():
            return jax.vmap(lambda x, k: ops.conv(x, k, padding=1))(x, kernels)

    each = [reference(a, k, (1, 1), ((1, 1), (1, 1)), (1, 1)) for a, k in zip(x, kernels, strict=True)]
    np.testing.assert_allclose(many(x, kernels), jnp.stack(each), atol=1e-5)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(jax.grad(lambda k: many(x, k).sum()))(kernels))


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_stay_convolutions(groups):
    x, kernel = jnp.ones((1, 5, 5, 4)), jnp.ones((3, 3, 4 // groups, 4))
    expected = ops.conv(x, kernel, padding=0, feature_group_count=groups)
    with ops.product_convs():
        np.testing.assert_allclose(ops.conv(x, kernel, padding=0, feature_group_count=groups), expected, atol=1e-5)
