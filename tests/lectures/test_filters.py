"""Worked examples of the lectures: filtering and pooling by hand.

Lectures: 000 = TUM introduction to convolutions, 001 = TUM architectures, 002 = ETH part II, 003 = Stachniss,
004 = Pollefeys.
"""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops


def plane(rows) -> jax.Array:
    """[1, H, W, 1] of a matrix."""
    return jnp.asarray(rows, jnp.float32)[None, :, :, None]


SIGNAL = [4, 3, 2, -5, 3, 5, 2, 5, 5, 6]
BOXED = [3, 0, 0, 1, Fraction(10, 3), 4, 4, Fraction(16, 3)]
BOXED_SAME = [Fraction(7, 3), *BOXED, Fraction(11, 3)]


@pytest.mark.parametrize(("padding", "expected"), [("VALID", BOXED), (1, BOXED_SAME)], ids=["valid", "zero-padded"])
def test_box_filter_on_a_line(padding, expected):
    """Lectures 000 and 001: f = 4 3 2 -5 3 5 2 5 5 6 by g = 1/3 1/3 1/3; exact in fractions, by the matrix C."""
    matrix = ops.conv_matrix(np.full((3, 1, 1), Fraction(1, 3)), (10,), padding=padding)
    assert (matrix @ np.array(SIGNAL)).tolist() == expected
    y = ops.conv(jnp.asarray(SIGNAL, jnp.float32)[None, :, None], jnp.ones((3, 1, 1)), padding=padding)
    assert y[0, :, 0].tolist() == [3 * value for value in expected]
    third = ops.conv(jnp.asarray(SIGNAL, jnp.float32)[None, :, None], jnp.full((3, 1, 1), 1 / 3), padding=padding)
    np.testing.assert_allclose(third[0, :, 0], np.array(expected, float), rtol=1e-6, atol=1e-6)


def test_sharpening_a_five_by_five_image():
    """Lecture 000: a 5x5 image by the sharpening kernel.

    Row 4 of the image but for its middle 7 is from the public slides; it decides no more than the last row of the
    result, of which -9 in the middle stands in the lecture.
    """
    image = [[-5, 3, 2, -5, 3], [4, 3, 2, 1, -3], [1, 0, 3, 3, 5], [-2, 0, 1, 4, 4], [5, 6, 7, 9, -1]]
    y = ops.conv(plane(image), ops.fixed_kernel("sharpen"), padding="VALID")
    assert y[0, :, :, 0].tolist() == [[6, 1, 8], [-7, 9, 2], [-5, -9, 3]]


@pytest.mark.parametrize(
    ("name", "scale", "rows"),
    [
        ("edge", 1, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
        ("box", 9, [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
        ("gaussian", 16, [[1, 2, 1], [2, 4, 2], [1, 2, 1]]),
        ("sharpen", 1, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    ],
)
def test_fixed_kernels(name, scale, rows):
    """Lectures 000 and 001: the kernels for edges, box mean (1/9), Gaussian blur (1/16) and sharpening."""
    kernel = ops.fixed_kernel(name)
    assert kernel.shape == (3, 3, 1, 1)
    np.testing.assert_array_equal(kernel[:, :, 0, 0], np.array(rows, np.float32) / np.float32(scale))


def test_a_filter_is_a_dot_product_of_75_numbers_and_a_bias():
    """The lectures' 5x5x3 filter (no number recorded) on a 32x32x3 image; five filters give 28x28x5."""
    rng = np.random.default_rng(0)
    image = rng.integers(-4, 5, (32, 32, 3)).astype(np.float32)
    kernel = rng.integers(-4, 5, (5, 5, 3, 5)).astype(np.float32)
    bias = np.arange(5, dtype=np.float32)
    y = np.asarray(ops.conv(jnp.asarray(image)[None], jnp.asarray(kernel), padding="VALID")) + bias
    assert y.shape == (1, 28, 28, 5)
    for row, column, feature in [(0, 0, 0), (13, 7, 2), (27, 27, 4)]:
        patch, taps = image[row : row + 5, column : column + 5].ravel(), kernel[..., feature].ravel()
        assert patch.size == 75
        assert y[0, row, column, feature] == patch @ taps + bias[feature]


def test_matrix_of_a_convolution_and_its_transpose():
    """Lecture 000, after Dumoulin and Visin: 3x3 on 4x4 is a 4x16 matrix C; the backward pass multiplies by C^T."""
    taps = np.array([[2, 3, 5], [7, 11, 13], [17, 19, 23]], np.float32)
    (w00, w01, w02), (w10, w11, w12), (w20, w21, w22) = taps.tolist()
    row = [w00, w01, w02, 0, w10, w11, w12, 0, w20, w21, w22, 0, 0, 0, 0, 0]
    expected = [row[-shift:] + row[:-shift] if shift else row for shift in (0, 1, 4, 5)]
    kernel = taps[:, :, None, None]
    matrix = ops.conv_matrix(kernel, (4, 4), padding="VALID")
    assert matrix.tolist() == expected
    g = np.array([[1, -2], [3, 4]], np.float32)
    _, pull = jax.vjp(lambda x: ops.conv(x, jnp.asarray(kernel), padding="VALID"), jnp.zeros((1, 4, 4, 1)))
    back = (np.array(expected).T @ g.ravel()).tolist()
    assert pull(plane(g))[0].ravel().tolist() == back
    assert ops.conv_transpose(plane(g), jnp.asarray(kernel), padding="VALID").ravel().tolist() == back


POOLED = [[3, 1, 3, 5], [6, 0, 7, 9], [3, 2, 1, 4], [0, 2, 4, 3]]


def test_pooling_a_four_by_four_image():
    """Lecture 000: 2x2 maxima and means (the second slide is headed maximum, its numbers are means)."""
    assert ops.max_pool(plane(POOLED), 2)[0, :, :, 0].tolist() == [[6, 9], [3, 4]]
    assert ops.avg_pool(plane(POOLED), 2)[0, :, :, 0].tolist() == [[2.5, 6], [1.75, 3]]


def test_pooling_halves_the_map_and_keeps_the_channels():
    """Lecture 000: 224x224x64 to 112x112x64."""
    image = jax.ShapeDtypeStruct((1, 224, 224, 64), np.float32)
    assert jax.eval_shape(lambda x: ops.max_pool(x, 2), image).shape == (1, 112, 112, 64)


def test_pooling_one_window():
    """Lecture 003: 10 23 8 35 has the maximum 35 and the mean 19."""
    window = plane([[10, 23], [8, 35]])
    assert ops.max_pool(window, 2).item() == 35
    assert ops.avg_pool(window, 2).item() == 19


def test_pooling_a_six_by_six_image():
    """Lecture 003: 2x2 maxima of a 6x6 image."""
    image = [
        [10, 23, 31, 2, 3, 34],
        [8, 35, 44, 33, 1, 45],
        [2, 13, 0, 2, 1, 7],
        [12, 3, 8, 22, 9, 88],
        [22, 88, 3, 0, 2, 0],
        [1, 9, 33, 3, 4, 4],
    ]
    assert ops.max_pool(plane(image), 2)[0, :, :, 0].tolist() == [[35, 44, 45], [13, 22, 88], [88, 33, 4]]


def test_a_maximum_may_move_within_its_cell():
    """Lecture 002: 10x10 by 5x5 gives 617 614 614 625, wherever in its cell each maximum lies.

    The lecture's image is not recorded, so its maxima are put at each of the 25 places of noise below them.
    """
    images = np.random.default_rng(0).integers(0, 600, (25, 10, 10, 1)).astype(np.float32)
    for place in range(25):
        row, column = divmod(place, 5)
        images[place, row::5, column::5, 0] = [[617, 614], [614, 625]]
    y = jax.jit(lambda x: ops.max_pool(x, 5))(images)
    assert y[..., 0].tolist() == [[[617, 614], [614, 625]]] * 25
