"""What the lectures say of convolutions as linear maps: stacks, dense layers, translations.

Values are small whole numbers, so float32 is exact and equal means equal. Transposed convolution as the adjoint and as
C^T, dilation, groups and wrapped translations stand in `test_conv`, average pooling as a box filter in `test_pool`.
"""

from __future__ import annotations

import functools

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax import analysis, nn, ops

seeds = st.integers(0, 2**32 - 1)


def whole(seed: int, *shape: int) -> jax.Array:
    """Whole numbers from -3 to 3."""
    return jnp.asarray(np.random.default_rng(seed).integers(-3, 4, shape), jnp.float32)


@functools.partial(jax.jit, static_argnames=("strides", "padding", "padding_mode"))
def conv(x, kernel, *, strides=1, padding="VALID", padding_mode="zeros"):
    return ops.conv(x, kernel, strides=strides, padding=padding, padding_mode=padding_mode)


def composed(first: jax.Array, second: jax.Array) -> jax.Array:
    """[5, 5, C, features]: the one kernel of two 3x3 correlations, by SciPy's full convolution of their kernels."""
    channels, middle, features = *first.shape[2:], second.shape[3]
    kernel = np.zeros((5, 5, channels, features), np.float32)
    for c, m, f in np.ndindex(channels, middle, features):
        kernel[:, :, c, f] += scipy.signal.convolve2d(first[:, :, c, m], second[:, :, m, f])
    return jnp.asarray(kernel)


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_stacked_convolutions_collapse_to_one_until_a_relu_stands_between(seed):
    x, first, second = whole(seed, 1, 9, 8, 2), whole(seed + 1, 3, 3, 2, 3), whole(seed + 2, 3, 3, 3, 2)
    single = conv(x, composed(first, second))
    np.testing.assert_array_equal(conv(conv(x, first), second), single)
    bent = conv(ops.relu(conv(x, first)), second)
    assert bent.shape == single.shape
    assert (bent != single).any()


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_without_a_relu_the_stack_is_linear_and_with_it_it_is_not(seed):
    """f(-x) = -f(x) for every linear f; a ReLU between leaves an f whose f(x) + f(-x) is a sum of absolute values."""
    x, first, second = whole(seed, 1, 9, 8, 2), whole(seed + 1, 3, 3, 2, 3), whole(seed + 2, 3, 3, 3, 2)
    np.testing.assert_array_equal(conv(conv(-x, first), second), -conv(conv(x, first), second))
    both = conv(ops.relu(conv(x, first)), second) + conv(ops.relu(conv(-x, first)), second)
    np.testing.assert_array_equal(both, conv(jnp.abs(conv(x, first)), second))
    assert (both != 0).any()


@pytest.mark.parametrize(("stacked", "single"), [((3, 3), 5), ((3, 3, 3), 7), ((5, 3), 7), ((1, 3, 1), 3), ((2, 2), 3)])
def test_a_stack_sees_what_one_larger_kernel_sees(stacked, single):
    stack, one = (
        analysis.show(fnn.Sequential([nn.Conv(2, size, padding="VALID") for size in sizes]), (12, 11, 2))
        for sizes in (stacked, (single,))
    )
    last, alone = stack.layers[-1], one.layers[-1]
    assert last.receptive_field == alone.receptive_field == (single, single)
    assert last.jump == alone.jump == (1, 1)
    assert last.output == alone.output
    for unit in [(0, 0), (2, 3), (last.output[0] - 1, last.output[1] - 1)]:
        assert stack.box(last.name, *unit) == one.box(alone.name, *unit)


@settings(max_examples=5, deadline=None)
@given(seeds, st.sampled_from([(3, 4, 2), (5, 5, 3)]))
def test_a_dense_layer_on_the_flattened_map_is_a_convolution_as_large_as_the_map(seed, shape):
    x, weights = whole(seed, 2, *shape), whole(seed + 1, int(np.prod(shape)), 6)
    y = conv(x, weights.reshape(*shape, 6))
    assert y.shape == (2, 1, 1, 6)
    np.testing.assert_array_equal(y[:, 0, 0], np.asarray(x).reshape(2, -1) @ np.asarray(weights))


@settings(max_examples=3, deadline=None)
@given(seeds)
def test_the_dense_convolution_slides_over_a_larger_image(seed):
    """At every place it gives what the dense layer gives on the crop there (Long et al. 2015, section 3.1)."""
    x, weights = whole(seed, 1, 7, 6, 2), whole(seed + 1, 3 * 4 * 2, 5)
    y = conv(x, weights.reshape(3, 4, 2, 5))
    assert y.shape == (1, 5, 3, 5)
    for row, column in np.ndindex(5, 3):
        crop = np.asarray(x)[0, row : row + 3, column : column + 4]
        np.testing.assert_array_equal(y[0, row, column], crop.ravel() @ np.asarray(weights))


def rolled(x, down: int, right: int) -> np.ndarray:
    """The image moved, in NumPy, which compiles nothing for a new shift."""
    return np.roll(x, (down, right), (1, 2))


@settings(max_examples=8, deadline=None)
@given(seeds, st.integers(-3, 3), st.integers(-3, 3))
def test_under_zeros_translations_commute_in_the_interior(seed, down, right):
    """A unit whose field, before and after, lies inside the image moves with it."""
    x, kernel = whole(seed, 1, 14, 13, 2), whole(seed + 1, 3, 5, 2, 3)
    y, moved = (conv(image, kernel, padding=((1, 1), (2, 2))) for image in (x, rolled(x, down, right)))
    rows = slice(1 + abs(down), 13 - abs(down))
    columns = slice(2 + abs(right), 11 - abs(right))
    np.testing.assert_array_equal(moved[:, rows, columns], rolled(y, down, right)[:, rows, columns])


def test_under_zeros_the_border_does_not_commute_and_under_wrap_it_does():
    """An image of ones stays itself when it moves; its sums over 3x3 do not, for there are fewer ones at the border."""
    ones, kernel = jnp.ones((1, 6, 6, 1)), jnp.ones((3, 3, 1, 1))
    y = np.asarray(conv(ones, kernel, padding=1))
    np.testing.assert_array_equal(rolled(ones, 1, 0), ones)
    assert (rolled(y, 1, 0) != y).any()
    assert y[0, 0, :, 0].tolist() == [4, 6, 6, 6, 6, 4]
    np.testing.assert_array_equal(conv(ones, kernel, padding=1, padding_mode="wrap"), jnp.full((1, 6, 6, 1), 9.0))


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("layer", ["conv", "max_pool"])
def test_only_translations_by_multiples_of_the_stride_commute(layer, stride):
    """For each shift the moved output is the output of the moved image exactly if the stride divides the shift.

    "No" means that no translation of the output at all gives it, not merely not the one expected.
    """
    size = 4 * stride
    x, kernel = whole(0, 1, size, size, 2), whole(1, 3, 3, 2, 3)

    def apply(image):
        if layer == "max_pool":
            return ops.max_pool(image, stride)
        return conv(image, kernel, strides=stride, padding=((1, 1), (1, 1)), padding_mode="wrap")

    y = np.asarray(apply(x))
    for shift in range(-stride, 2 * stride + 1):
        moved = np.asarray(apply(jnp.asarray(rolled(x, shift, 0))))
        same = [steps for steps in range(4) if np.array_equal(moved, np.roll(y, steps, 1))]
        assert same == ([shift // stride % 4] if shift % stride == 0 else []), shift
