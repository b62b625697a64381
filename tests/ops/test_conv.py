"""Convolutions against lax and SciPy, forward and gradient; their algebra; the compiled loop."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnn_jax import ops
from cnn_jax.errors import GeometryError
from cnn_jax.ops import conv_gradients


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def assert_close(actual, expected, tolerance=1e-5):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    scale = np.abs(expected).max() if expected.size else 0.0
    assert np.abs(actual - expected).max(initial=0.0) <= tolerance * max(scale, 1e-6)


def lax_conv(x, kernel, strides, padding, dilation=None, groups=1):
    spatial = "DHW"[5 - x.ndim :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=groups,
    )


def with_gradients(function, *arguments):
    """Value and the gradients of a fixed random projection of it."""

    def loss(*arguments):
        y = function(*arguments)
        return (y * normal(9, *y.shape)).sum(), y

    @jax.jit
    def run(*arguments):
        gradients, y = jax.grad(loss, range(len(arguments)), has_aux=True)(*arguments)
        return y, *gradients

    return run(*arguments)


# (sizes, channels, kernel_size, features, strides, padding, dilation, groups)
CASES = {
    "3x3": ((8, 9), 5, (3, 3), 6, (1, 1), "SAME", (1, 1), 1),
    "3x3/2": ((8, 9), 5, (3, 3), 6, (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    "3x3/2 same, few channels": ((8, 9), 3, (3, 3), 6, (2, 2), "SAME", (1, 1), 1),
    "6x6/4": ((19, 17), 3, (6, 6), 4, (4, 4), ((2, 1), (0, 2)), (1, 1), 1),
    "1x1/2": ((8, 9), 5, (1, 1), 6, (2, 2), "VALID", (1, 1), 1),
    "1x1 padded": ((5, 4), 5, (1, 1), 6, (2, 2), ((2, 1), (0, 3)), (1, 1), 1),
    "2x5, unequal strides": ((8, 11), 4, (2, 5), 3, (1, 3), ((0, 1), (2, 0)), (1, 1), 1),
    "stride above kernel": ((9, 10), 4, (2, 2), 3, (3, 4), "VALID", (1, 1), 1),
    "padding above kernel": ((5, 4), 4, (2, 2), 3, (1, 1), ((4, 3), (2, 5)), (1, 1), 1),
    "dilated": ((11, 12), 4, (3, 3), 3, (1, 1), ((2, 2), (3, 3)), (2, 3), 1),
    "dilated and strided": ((11, 12), 4, (3, 2), 3, (2, 3), ((2, 1), (0, 3)), (2, 1), 1),
    "groups": ((8, 9), 6, (3, 3), 4, (2, 1), "SAME", (1, 1), 2),
    "depthwise": ((8, 9), 6, (3, 3), 6, (1, 1), "SAME", (1, 1), 6),
    "depthwise x2, strided, dilated": ((9, 10), 3, (3, 2), 6, (2, 1), ((2, 1), (1, 0)), (2, 1), 3),
    "3x3 on 2x2": ((2, 2), 5, (3, 3), 6, (1, 1), "SAME", (1, 1), 1),
    "3x3 on one pixel": ((1, 1), 5, (3, 3), 6, (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "5x3 on 2x4, strided": ((2, 4), 3, (5, 3), 4, (2, 1), ((3, 2), (1, 2)), (1, 1), 1),
    "dilated beyond the image": ((3, 4), 4, (3, 2), 3, (1, 2), ((2, 3), (0, 1)), (2, 1), 1),
    "5x5, one channel": ((12, 13), 1, (5, 5), 6, (1, 1), "VALID", (1, 1), 1),
    "5x5, three channels": ((9, 17), 3, (5, 5), 7, (1, 1), ((2, 1), (3, 0)), (1, 1), 1),
    "3x3, three channels": ((8, 10), 3, (3, 3), 16, (1, 1), "SAME", (1, 1), 1),
    "2x7, two channels": ((8, 21), 2, (2, 7), 3, (1, 1), ((0, 1), (5, 6)), (1, 1), 1),
    "1-D": ((11,), 4, (3,), 5, (2,), ((1, 2),), (2,), 1),
    "3-D": ((5, 6, 7), 2, (3, 2, 3), 4, (2, 1, 2), ((1, 1), (0, 1), (2, 0)), (1, 2, 1), 1),
    "3-D depthwise": ((5, 4, 5), 3, (2, 3, 3), 3, (1, 1, 1), "SAME", (1, 1, 1), 3),
}


@pytest.mark.parametrize(
    ("name", "chunked"),
    [*((name, False) for name in CASES), ("3x3", True), ("1x1/2", True), ("dilated and strided", True)],
)
def test_value_and_gradients_are_those_of_lax(name, chunked, monkeypatch):
    sizes, channels, kernel_size, features, strides, padding, dilation, groups = CASES[name]
    if chunked:
        monkeypatch.setattr(conv_gradients, "_CHUNK_BYTES", 2000)
        monkeypatch.setattr(conv_gradients, "_CHUNK_BYTES_FEW_CHANNELS", 2000)
    x, kernel = normal(0, 4, *sizes, channels), normal(1, *kernel_size, channels // groups, features)
    ours = with_gradients(
        lambda x, k: ops.conv(
            x, k, strides=strides, padding=padding, kernel_dilation=dilation, feature_group_count=groups
        ),
        x,
        kernel,
    )
    reference = with_gradients(lambda x, k: lax_conv(x, k, strides, padding, dilation, groups), x, kernel)
    for actual, expected in zip(ours, reference, strict=True):
        assert_close(actual, expected)


def test_correlation_and_convolution_are_those_of_scipy():
    x, kernel = normal(0, 7, 9), normal(1, 3, 4)
    image, taps = x[None, :, :, None], kernel[:, :, None, None]
    assert_close(ops.conv(image, taps, padding="VALID")[0, :, :, 0], scipy.signal.correlate(x, kernel, "valid"))
    assert_close(ops.convolve(image, taps, padding="VALID")[0, :, :, 0], scipy.signal.convolve(x, kernel, "valid"))
    full = ops.convolve(image, taps, padding=((2, 2), (3, 3)))[0, :, :, 0]
    assert_close(full, scipy.signal.convolve(x, kernel, "full"))


def test_the_plain_form_is_one_convolution():
    x, kernel = normal(0, 1, 6, 6, 6, 4), normal(1, 3, 3, 3, 1, 4)
    with ops.plain_ops():
        jaxpr = jax.make_jaxpr(lambda x, k: ops.conv(x, k, padding="SAME", feature_group_count=4))(x, kernel)
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["conv_general_dilated"]


@pytest.mark.parametrize("mode", ["wrap", "edge", "reflect", "symmetric"])
def test_padding_modes_are_those_of_scipy(mode):
    x, kernel = normal(0, 6, 7), normal(1, 3, 5)
    scipy_mode = {"wrap": "grid-wrap", "edge": "nearest", "reflect": "mirror", "symmetric": "reflect"}[mode]
    y = ops.conv(x[None, :, :, None], kernel[:, :, None, None], padding=(1, 2), padding_mode=mode)
    assert_close(y[0, :, :, 0], scipy.ndimage.correlate(np.asarray(x), np.asarray(kernel), mode=scipy_mode))


def test_vmap_over_images_and_over_kernels():
    x, kernel = normal(0, 3, 2, 6, 6, 4), normal(1, 3, 3, 3, 4, 5)

    def gradient(x, kernel):
        return jax.grad(lambda k: (ops.conv(x, k, strides=2, padding=1) ** 2).sum())(kernel)

    mapped = jax.jit(jax.vmap(gradient))(x, kernel)
    assert_close(mapped, jnp.stack([gradient(x[i], kernel[i]) for i in range(3)]))


def test_second_derivatives_are_those_of_lax():
    x, kernel = normal(0, 2, 6, 6, 3), normal(1, 3, 3, 3, 4)

    def penalty(function):
        def norm(x, k):
            return (jax.grad(lambda x: (function(x, k) ** 3).sum())(x) ** 2).sum()

        return jax.jit(jax.grad(norm, 1))(x, kernel)

    assert_close(
        penalty(lambda x, k: ops.conv(x, k, strides=2, padding=1)),
        penalty(lambda x, k: lax_conv(x, k, (2, 2), ((1, 1), (1, 1)))),
    )


def test_forward_mode_works_in_the_plain_form():
    x, kernel = normal(0, 2, 6, 6, 3), normal(1, 3, 3, 3, 4)
    with ops.plain_ops():
        _, tangent = jax.jvp(lambda k: ops.conv(x, k, padding=1), (kernel,), (kernel,))
    assert_close(tangent, ops.conv(x, kernel, padding=1))


sizes = st.integers(5, 9)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(
    sizes, sizes, st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.sampled_from([1, 2])
)
def test_transposed_convolution_is_the_adjoint(height, width, kernel_size, stride, pad, dilation, groups):
    u, kernel = normal(0, 2, height, width, 4), normal(1, kernel_size, kernel_size, 4 // groups, 6)
    options = {
        "strides": stride, "padding": pad, "kernel_dilation": dilation, "feature_group_count": groups
    }  # fmt: skip
    y = ops.conv(u, kernel, **options)
    x = normal(2, *y.shape)
    back = ops.conv_transpose(x, kernel, output_size=(height, width), **options)
    assert back.shape == u.shape
    np.testing.assert_allclose((y * x).sum(), (u * back).sum(), rtol=1e-4, atol=1e-4 * float(jnp.abs(y * x).sum()))


@pytest.mark.parametrize("shape", [((5, 6), (3, 3)), ((7,), (4,)), ((3, 4, 3), (2, 2, 3))], ids=["2-D", "1-D", "3-D"])
def test_transposed_convolution_and_its_gradients_are_those_of_lax(shape):
    sizes, kernel_size = shape
    rank = len(sizes)
    x, kernel = normal(0, 2, *sizes, 3), normal(1, *kernel_size, 4, 3)
    spatial = "DHW"[3 - rank :]
    reference = with_gradients(
        lambda x, k: lax.conv_transpose(
            x,
            k,
            (2,) * rank,
            "VALID",
            dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
            transpose_kernel=True,
        ),
        x,
        kernel,
    )
    ours = with_gradients(lambda x, k: ops.conv_transpose(x, k, strides=2, padding="VALID"), x, kernel)
    for actual, expected in zip(ours, reference, strict=True):
        assert_close(actual, expected)
    with ops.plain_ops():
        assert_close(ops.conv_transpose(x, kernel, strides=2, padding="VALID"), reference[0])


def test_output_size_of_a_transposed_convolution_is_chosen_within_the_stride():
    x, kernel = normal(0, 1, 4, 4, 3), normal(1, 3, 3, 2, 3)
    assert ops.conv_transpose(x, kernel, strides=2, padding=1).shape == (1, 7, 7, 2)
    assert ops.conv_transpose(x, kernel, strides=2, padding=1, output_padding=1).shape == (1, 8, 8, 2)
    assert ops.conv_transpose(x, kernel, strides=2, padding="SAME").shape == (1, 8, 8, 2)
    with pytest.raises(GeometryError, match=r"E-GEOM-10: .* 9x9: use 7 to 8 by 7 to 8"):
        ops.conv_transpose(x, kernel, strides=2, padding=1, output_size=(9, 9))


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
def test_dilation_is_a_kernel_stuffed_with_zeros(kernel_size, dilation, stride, pad):
    x, kernel = normal(0, 2, 9, 8, 3), normal(1, kernel_size, kernel_size, 3, 2)
    stuffed = lax.pad(kernel, 0.0, [(0, 0, dilation - 1), (0, 0, dilation - 1), (0, 0, 0), (0, 0, 0)])
    assert_close(
        ops.conv(x, kernel, strides=stride, padding=pad, kernel_dilation=dilation),
        ops.conv(x, stuffed, strides=stride, padding=pad),
    )


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_are_separate_convolutions(groups):
    x, kernel = normal(0, 2, 6, 7, 6), normal(1, 3, 3, 6 // groups, 12)
    parts = [
        ops.conv(a, k, padding=1) for a, k in zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    ]
    assert_close(ops.conv(x, kernel, padding=1, feature_group_count=groups), jnp.concatenate(parts, -1))


@settings(max_examples=6, deadline=None)
@given(st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([1, 2]))
def test_under_wrap_convolution_commutes_with_translations_by_the_stride(down, right, stride):
    x, kernel = normal(0, 1, 8, 6, 2), normal(1, 3, 3, 2, 3)

    def conv(x):
        return ops.conv(x, kernel, strides=stride, padding=((1, 1), (1, 1)), padding_mode="wrap")

    shifted = conv(jnp.roll(x, (down * stride, right * stride), (1, 2)))
    assert_close(shifted, jnp.roll(conv(x), (down, right), (1, 2)))


def test_jit_changes_nothing():
    x, kernel = normal(0, 2, 6, 7, 3), normal(1, 3, 3, 3, 4)
    gradient = jax.grad(lambda x, k: (ops.conv(x, k, strides=2, padding=1) ** 2).sum(), (0, 1))
    for compiled, eager in zip(jax.jit(gradient)(x, kernel), gradient(x, kernel), strict=True):
        assert_close(compiled, eager)


def test_matrix_of_a_convolution():
    x, kernel = normal(0, 5, 6, 2), normal(1, 3, 2, 2, 3)
    options = {"strides": (2, 1), "padding": ((1, 0), (1, 2)), "kernel_dilation": (1, 2)}
    matrix = ops.conv_matrix(np.asarray(kernel), (5, 6), **options)
    y = ops.conv(x[None], kernel, **options)
    assert_close(matrix @ x.ravel(), y.ravel())
    g = normal(2, *y.shape)
    assert_close(matrix.T @ g.ravel(), ops.conv_transpose(g, kernel, output_size=(5, 6), **options).ravel())


def test_matrix_of_the_lectures():
    taps = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
    matrix = ops.conv_matrix(taps[:, :, None, None], (4, 4), padding="VALID")
    row = np.array([1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(matrix, [np.roll(row, shift) for shift in (0, 1, 4, 5)])


def test_one_dimensional_box_of_the_lectures():
    f = jnp.array([4, 3, 2, -5, 3, 5, 2, 5, 5, 6], jnp.float32)[None, :, None]
    box = jnp.full((3, 1, 1), 1 / 3)
    valid = [3, 0, 0, 1, 10 / 3, 4, 4, 16 / 3]
    assert_close(ops.conv(f, box, padding="VALID")[0, :, 0], np.array(valid))
    assert_close(ops.conv(f, box, padding=1)[0, :, 0], np.array([7 / 3, *valid, 11 / 3]))


def test_sharpening_of_the_lectures():
    image = jnp.array(
        [[-5, 3, 2, -5, 3], [4, 3, 2, 1, -3], [1, 0, 3, 3, 5], [-2, 0, 1, 4, 4], [5, 6, 7, 9, -1]], jnp.float32
    )
    y = ops.conv(image[None, :, :, None], ops.fixed_kernel("sharpen"), padding="VALID")[0, :, :, 0]
    np.testing.assert_array_equal(y, [[6, 1, 8], [-7, 9, 2], [-5, -9, 3]])


def test_fixed_kernels_filter_each_channel_alone_and_keep_or_drop_the_mean():
    flat = jnp.full((1, 5, 5, 3), 7.0)
    for name, total in {
        "edge": 0,
        "box": 1,
        "gaussian": 1,
        "sharpen": 1,
        "identity": 1,
        "sobel_x": 0,
        "sobel_y": 0,
    }.items():
        y = ops.conv(flat, ops.fixed_kernel(name, 3), padding="VALID", feature_group_count=3)
        np.testing.assert_allclose(y, np.full((1, 3, 3, 3), 7.0 * total), atol=1e-5)
    np.testing.assert_allclose(ops.gaussian_kernel(3, 0.85), ops.FIXED_KERNELS["gaussian"], atol=2e-3)


@pytest.mark.parametrize(
    ("image", "kernel", "options", "message"),
    [
        ((1, 5, 5, 3), (11, 11, 3, 4), {"padding": 0}, "E-GEOM-01: .*kernel of at most 5"),
        ((1, 7, 7, 3), (3, 3, 3, 4), {"padding": 0, "strides": 3, "strict": True}, "E-GEOM-02"),
        ((1, 7, 7, 3), (3, 3, 3, 4), {"padding": 0, "strides": 0}, "E-GEOM-03"),
        ((1, 7, 7, 3), (3, 3, 3, 4), {"padding": "half"}, "E-GEOM-04"),
        ((1, 7, 3), (3, 3, 3, 4), {"padding": 0}, "E-GEOM-05"),
        ((1, 7, 7, 3), (3, 3, 3, 4), {"padding": 0, "strides": (1, 1, 1)}, "E-GEOM-05"),
        ((1, 7, 7, 3), (3, 3, 5, 4), {"padding": 0}, "E-GEOM-06: .*kernel for 3 channels"),
        ((1, 7, 7, 6), (3, 3, 2, 9), {"padding": 0, "feature_group_count": 4}, "E-GEOM-07: .*use one of 1, 3"),
        ((1, 7, 7, 6), (3, 3, 2, 9), {"padding": 0, "feature_group_count": 0}, "E-GEOM-07"),
        ((1, 7, 7, 3), (3, 3, 3, 4), {"padding": 1, "padding_mode": "mirror"}, "E-GEOM-08: .*reflect"),
        ((1, 3, 3, 3), (3, 3, 3, 4), {"padding": 3, "padding_mode": "reflect"}, "E-GEOM-09: .*at most 2"),
    ],
)
def test_illegal_calls_are_refused_in_one_line(image, kernel, options, message):
    with pytest.raises(GeometryError, match=message) as caught:
        ops.conv(jnp.zeros(image), jnp.zeros(kernel), **options)
    assert "\n" not in str(caught.value)


def test_training_loop_compiles_to_fast_convolutions_only():
    x, y = normal(0, 16, 12, 12, 3), normal(1, 16, 3, 3, 10)
    kernels = {"a": normal(2, 3, 3, 3, 8), "b": normal(3, 3, 3, 8, 24), "c": normal(4, 1, 1, 24, 10)}

    def loss(kernels):
        h = jax.nn.relu(ops.conv(x, kernels["a"], padding=1))
        h = ops.max_pool(h, 2)
        h = jax.nn.relu(ops.conv(h, kernels["b"], strides=2, padding=1))
        return ((ops.conv(h, kernels["c"], padding=0) - y) ** 2).mean()

    def step(_, kernels):
        return jax.tree.map(lambda k, g: k - 0.01 * g, kernels, jax.grad(loss)(kernels))

    compiled = jax.jit(lambda kernels: lax.fori_loop(0, 3, step, kernels)).lower(kernels).compile()
    text = compiled.as_text() or ""
    assert "while(" in text
    assert not re.search(r"\b(scatter|select-and-scatter|reduce-window)\(", text)
    assert "convolution(" in text
    assert set(re.findall(r"dim_labels=([\w>-]+)", text)) == {"b01f_01io->b01f"}
    assert "feature_group_count" not in text
    assert float(loss(compiled(kernels))) < float(loss(kernels))
