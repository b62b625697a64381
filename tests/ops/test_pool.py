"""Pooling against lax and NumPy, forward and gradient, ties included."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import ops
from cnn_jax.errors import GeometryError

# (sizes, window, strides, padding)
CASES = {
    "2x2": ((6, 8), (2, 2), (2, 2), "VALID"),
    "2x2 with a remainder": ((7, 9), (2, 2), (2, 2), "VALID"),
    "3x3/2, overlapping": ((9, 8), (3, 3), (2, 2), "VALID"),
    "3x3/2 padded": ((8, 8), (3, 3), (2, 2), ((1, 1), (0, 1))),
    "3x3/1 same": ((6, 7), (3, 3), (1, 1), "SAME"),
    "2x3, unequal strides": ((7, 11), (2, 3), (3, 2), "VALID"),
    "gaps": ((9, 9), (2, 2), (3, 4), "VALID"),
    "1-D": ((11,), (3,), (2,), ((1, 1),)),
    "3-D": ((5, 4, 5), (2, 2, 3), (2, 1, 2), ((0, 1), (1, 0), (1, 1))),
}


def images(seed: int, *shape: int, ties: bool = False) -> jax.Array:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, size=shape) if ties else rng.normal(size=shape)
    return jnp.asarray(values, jnp.float32)


def assert_close(actual, expected):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def value_and_gradient(function, x):
    def loss(x):
        y = function(x)
        return (y * images(7, *y.shape)).sum(), y

    gradient, y = jax.jit(jax.grad(loss, has_aux=True))(x)
    return y, gradient


def lax_pool(x, window, strides, padding, start, operation):
    if not isinstance(padding, str):
        padding = ((0, 0), *padding, (0, 0))
    return lax.reduce_window(x, start, operation, (1, *window, 1), (1, *strides, 1), padding)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_max_pool_and_its_gradient_are_those_of_lax(case, ties):
    sizes, window, strides, padding = case
    x = images(0, 2, *sizes, 3, ties=ties)
    ours = value_and_gradient(lambda x: ops.max_pool(x, window, strides=strides, padding=padding), x)
    reference = value_and_gradient(lambda x: lax_pool(x, window, strides, padding, -jnp.inf, lax.max), x)
    for actual, expected in zip(ours, reference, strict=True):
        assert_close(actual, expected)


@pytest.mark.parametrize("include", [False, True], ids=["pixels", "with padding"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_avg_pool_and_its_gradient_are_those_of_lax(case, include):
    sizes, window, strides, padding = case
    x = images(0, 2, *sizes, 3)

    def reference(x):
        total = lax_pool(x, window, strides, padding, 0.0, lax.add)
        return total / (
            np.prod(window) if include else lax_pool(jnp.ones_like(x), window, strides, padding, 0.0, lax.add)
        )

    ours = value_and_gradient(
        lambda x: ops.avg_pool(x, window, strides=strides, padding=padding, count_include_pad=include), x
    )
    for actual, expected in zip(ours, value_and_gradient(reference, x), strict=True):
        assert_close(actual, expected)


def test_min_pool_is_the_minimum_and_the_first_wins():
    x = images(0, 2, 6, 6, 3, ties=True)
    y, gradient = value_and_gradient(lambda x: ops.min_pool(x, 2), x)
    windows = np.asarray(x).reshape(2, 3, 2, 3, 2, 3).transpose(0, 1, 3, 5, 2, 4).reshape(2, 3, 3, 3, 4)
    assert_close(y, windows.min(-1))
    first = windows.argmin(-1)[..., None] == np.arange(4)
    expected = (first * np.asarray(images(7, 2, 3, 3, 3))[..., None]).reshape(2, 3, 3, 3, 2, 2)
    assert_close(gradient, expected.transpose(0, 1, 4, 2, 5, 3).reshape(2, 6, 6, 3))


def test_the_plain_form_is_one_reduce_window_with_the_same_gradient():
    x = images(0, 1, 7, 7, 2, ties=True)
    pools = {
        "reduce_window_max": lambda x: ops.max_pool(x, 3, strides=2),
        "reduce_window_sum": lambda x: ops.avg_pool(x, 3),
    }
    for name, pool in pools.items():
        fast = value_and_gradient(pool, x)
        with ops.plain_ops():
            assert name in {eqn.primitive.name for eqn in jax.make_jaxpr(pool)(x).eqns}
            for actual, expected in zip(value_and_gradient(pool, x), fast, strict=True):
                assert_close(actual, expected)


def test_integers_and_bfloat16_are_pooled_in_their_type():
    x = jnp.arange(-8, 8, dtype=jnp.int8).reshape(1, 4, 4, 1)
    y = ops.max_pool(x, 2, padding=1)
    assert y.dtype == jnp.int8
    np.testing.assert_array_equal(y[0, :, :, 0], [[-8, -6, -5], [0, 2, 3], [4, 6, 7]])
    half = ops.avg_pool(images(0, 1, 4, 4, 2).astype(jnp.bfloat16), 3, strides=2, padding=1)
    assert half.dtype == jnp.bfloat16


def test_a_nan_is_not_hidden():
    x = images(0, 1, 4, 4, 1).at[0, 1, 1, 0].set(jnp.nan)
    y, gradient = value_and_gradient(lambda x: ops.max_pool(x, 2), x)
    assert np.isnan(y[0, 0, 0, 0])
    assert np.isfinite(y[0, 1:, 1:, 0]).all()
    assert gradient[0, 1, 1, 0] != 0


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_global_pooling(pool):
    x = images(0, 2, 4, 5, 3, ties=True)
    if pool == "avg":
        ours = value_and_gradient(ops.global_avg_pool, x)
        reference = value_and_gradient(lambda x: lax_pool(x, (4, 5), (1, 1), "VALID", 0.0, lax.add)[:, 0, 0] / 20, x)
    else:
        ours = value_and_gradient(ops.global_max_pool, x)
        reference = value_and_gradient(lambda x: lax_pool(x, (4, 5), (1, 1), "VALID", -jnp.inf, lax.max)[:, 0, 0], x)
    for actual, expected in zip(ours, reference, strict=True):
        assert_close(actual, expected)


def test_average_pooling_is_a_box_filter():
    x = images(0, 2, 7, 8, 3)
    box = jnp.asarray(np.repeat(ops.box_kernel(3)[:, :, None, None], 3, -1))
    filtered = ops.conv(x, box, strides=2, padding="VALID", feature_group_count=3)
    assert_close(ops.avg_pool(x, 3, strides=2), filtered)


def test_pooling_of_a_small_image_by_hand():
    x = jnp.array([[1, 2, 8, 2], [4, 6, 1, 9], [3, 1, 4, 0], [2, 2, 1, 3]], jnp.float32)[None, :, :, None]
    np.testing.assert_array_equal(ops.max_pool(x, 2)[0, :, :, 0], [[6, 9], [3, 4]])
    np.testing.assert_array_equal(ops.min_pool(x, 2)[0, :, :, 0], [[1, 1], [1, 0]])
    np.testing.assert_array_equal(ops.avg_pool(x, 2)[0, :, :, 0], [[3.25, 5], [2, 2]])


def test_ceil_mode_is_explicit_padding():
    """GoogLeNet's pooling in Caffe: 112 to 56, 56 to 28 and 28 to 14, where the floor would lose a row."""
    for size, expected in ((112, 56), (56, 28), (28, 14)):
        padding = ops.ceil_padding((size, size), (3, 3), (2, 2))
        assert padding == ((0, 1), (0, 1))
        assert ops.output_size(size, 3, 2, padding[0]) == expected
    x = images(0, 1, 4, 4, 1)
    y = ops.max_pool(x, 3, strides=2, padding=ops.ceil_padding((4, 4), (3, 3), (2, 2)))
    assert_close(y[0, 1, 1, 0], x[0, 2:, 2:, 0].max())


def test_switches_name_the_winner_and_unpooling_is_the_adjoint():
    x = images(0, 2, 7, 8, 3, ties=True)
    y, switches = ops.max_pool_switches(x, 3, strides=2, padding=1)
    assert_close(y, ops.max_pool(x, 3, strides=2, padding=1))
    g = images(7, *y.shape)
    back = ops.unpool(g, switches, (7, 8), 3, strides=2, padding=1)
    _, gradient = value_and_gradient(lambda x: ops.max_pool(x, 3, strides=2, padding=1), x)
    assert_close(back, gradient)


def test_unpooling_puts_the_maxima_back():
    x = jnp.array([[1, 2, 8, 2], [4, 6, 1, 9], [3, 1, 4, 0], [2, 2, 1, 3]], jnp.float32)[None, :, :, None]
    back = ops.unpool(*ops.max_pool_switches(x, 2), (4, 4), 2)
    np.testing.assert_array_equal(back[0, :, :, 0], [[0, 0, 0, 0], [0, 6, 0, 9], [3, 0, 4, 0], [0, 0, 0, 0]])
    with pytest.raises(GeometryError, match=r"E-GEOM-13: .*pools to \(3, 3\)"):
        ops.unpool(*ops.max_pool_switches(x, 2), (6, 6), 2)


def test_vmap_and_second_derivatives():
    x = images(0, 3, 2, 6, 6, 2)

    def pool(x):
        return ops.max_pool(x, 3, strides=2)

    def reference(x):
        return lax_pool(x, (3, 3), (2, 2), "VALID", -jnp.inf, lax.max)

    def penalty(pool):
        gradient = jax.grad(lambda x: (pool(x) ** 3).sum())
        return jax.jit(jax.grad(lambda x: (gradient(x) ** 2).sum()))(x[0])

    assert_close(jax.vmap(pool)(x), pool(x.reshape(6, 6, 6, 2)).reshape(3, 2, 2, 2, 2))
    assert_close(penalty(pool), penalty(reference))


def test_gradient_in_a_loop_has_no_scatter_and_no_reduce_window():
    x = images(0, 2, 8, 8, 3)
    gradient = jax.grad(lambda x: (ops.avg_pool(ops.max_pool(x, 3, strides=2, padding=1), 2) ** 2).sum())
    loop = jax.jit(lambda x: lax.fori_loop(0, 3, lambda _, x: x - gradient(x), x))
    text = loop.lower(x).compile().as_text() or ""
    assert "while(" in text
    assert not re.search(r"\b(scatter|select-and-scatter|reduce-window)\(", text)


@pytest.mark.parametrize(
    ("shape", "window", "options", "message"),
    [
        ((1, 5, 5, 3), 7, {}, "E-GEOM-01: 7x7 window on a 5x5 input .*window of at most 5"),
        ((1, 5, 5, 3), 2, {"strict": True}, "E-GEOM-02"),
        ((1, 5, 5, 3), 0, {}, "E-GEOM-03"),
        ((1, 5, 5, 3), 2, {"padding": -1}, "E-GEOM-04"),
        ((5, 3), 2, {}, "E-GEOM-05"),
        ((1, 5, 5, 3), (2, 2, 2), {}, "E-GEOM-05"),
        ((1, 5, 5, 3), 2, {"padding": 2}, "E-GEOM-11"),
    ],
)
def test_illegal_calls_are_refused_in_one_line(shape, window, options, message):
    for pool in (ops.max_pool, ops.avg_pool):
        with pytest.raises(GeometryError, match=message) as caught:
            pool(jnp.zeros(shape), window, **options)
        assert "\n" not in str(caught.value)
