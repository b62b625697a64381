"""Every form that a CPU is given, against `lax`'s own: value and gradients, in float32 and bfloat16, ties included.

Numbers are small and whole, so that float32 is exact and must be equal to the bit, whatever the order of sums. bfloat16
keeps eight bits: results may differ by one rounding of the largest number, 2^-7 of it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from cnn_jax import ops
from cnn_jax.ops import conv_gradients, depthwise
from tests.once import ONCE

dtypes = st.sampled_from(["float32", "bfloat16"])


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


def whole(seed, *shape):
    return np.random.default_rng(seed).integers(-2, 3, shape)


def both(ours, theirs, dtype, *arguments):
    """Asserts that value and gradients of two functions are the same."""

    def run(function):
        def derived(*arguments):
            value, pull = jax.vjp(function, *arguments)
            return value, *pull(jnp.asarray(whole(9, *value.shape), value.dtype))

        return jax.jit(derived, compiler_options=ONCE)(*(jnp.asarray(a, dtype) for a in arguments))

    for found, expected in zip(run(ours), run(theirs), strict=True):
        assert found.dtype == expected.dtype == dtype
        found, expected = np.asarray(found, np.float32), np.asarray(expected, np.float32)
        tolerance = 0 if dtype == "float32" else 2**-7 * np.abs(expected).max(initial=0)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@st.composite
def convolutions(draw):
    """(sizes, channels per group, features per group, groups, kernel, strides, pads, dilation)"""
    kernel, strides, dilation = draw(pairs(1, 5)), draw(pairs(1, 3)), draw(pairs(1, 2))
    pads = draw(st.tuples(pairs(0, 3), pairs(0, 3)))
    # From images smaller than the kernel, which padding makes legal, to ones of a few outputs.
    least = [max(1, d * (k - 1) + 1 - sum(pad)) for d, k, pad in zip(dilation, kernel, pads, strict=True)]
    sizes = tuple(n + draw(st.integers(0, 9)) for n in least)
    channels, features, groups = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return sizes, channels, features, groups, kernel, strides, pads, dilation


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(convolutions(), dtypes)
@example(((2, 2), 5, 4, 1, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), "bfloat16")  # smaller than its kernel
@example(((12, 14), 1, 4, 1, (5, 5), (1, 1), ((0, 0), (2, 2)), (1, 1)), "bfloat16")  # columns folded
@example(((6, 7), 1, 1, 3, (3, 3), (2, 1), ((1, 1), (0, 1)), (1, 1)), "bfloat16")  # depthwise
def test_convolutions(case, dtype):
    sizes, channels, features, groups, kernel_size, strides, pads, dilation = case
    x = whole(0, 2, *sizes, channels * groups)
    kernel = whole(1, *kernel_size, channels, features * groups)
    options = {"feature_group_count": groups}
    both(
        lambda x, k: ops.conv(x, k, strides=strides, padding=pads, kernel_dilation=dilation, **options),
        lambda x, k: lax.conv_general_dilated(
            x, k, strides, pads, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
        ),
        dtype,
        x,
        kernel,
    )


@pytest.mark.parametrize("groups", [1, 8])
def test_gradients_of_kernels_are_summed_in_float32(groups, monkeypatch):
    """A thousand ones: bfloat16 cannot count beyond 256."""
    monkeypatch.setattr(conv_gradients, "_CHUNK_BYTES_FEW_CHANNELS", 64)
    monkeypatch.setattr(depthwise, "_CHUNK_BYTES", 64)
    x, kernel = jnp.ones((1024, 3, 3, 8), jnp.bfloat16), jnp.ones((3, 3, 8 // groups, 8), jnp.bfloat16)

    def total(kernel):
        return ops.conv(x, kernel, padding="VALID", feature_group_count=groups).sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(total), compiler_options=ONCE)(kernel), 1024)


@st.composite
def poolings(draw):
    """(sizes, window, strides, pads), with overlaps and gaps"""
    window, strides = draw(pairs(1, 4)), draw(pairs(1, 4))
    pads = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in window)
    sizes = tuple(k + draw(st.integers(0, 7)) for k in window)
    return sizes, window, strides, pads


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["max", "sum"])
@settings(max_examples=15, deadline=None)
@given(case=poolings(), dtype=dtypes)
def test_pooling(kind, case, dtype):
    sizes, window, strides, pads = case
    start, operation = {"max": (-np.inf, lax.max), "sum": (0.0, lax.add)}[kind]
    area = float(np.prod(window))

    def ours(x):
        if kind == "max":
            return ops.max_pool(x, window, strides=strides, padding=pads)
        return ops.avg_pool(x, window, strides=strides, padding=pads, count_include_pad=True) * area

    def theirs(x):
        around = ((0, 0), *pads, (0, 0))
        y = lax.reduce_window(x, np.asarray(start, x.dtype), operation, (1, *window, 1), (1, *strides, 1), around)
        return y if kind == "max" else y / area * area

    both(ours, theirs, dtype, whole(0, 2, *sizes, 3))
