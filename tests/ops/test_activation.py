"""Activations against NumPy, forward and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from cnn_jax import ops
from cnn_jax.errors import ConfigError

X = np.array([[-3.0, -1.0, -0.25, 0.0, 0.5, 2.0]], np.float32)
REFERENCE = {
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "relu": (lambda x: np.where(x > 0, x, 0), lambda x: (x > 0).astype(float)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "scaled_tanh": (
        lambda x: 1.7159 * np.tanh(2 * x / 3),
        lambda x: 1.7159 * 2 / 3 * (1 - np.tanh(2 * x / 3) ** 2),
    ),
    "leaky_relu": (lambda x: np.where(x >= 0, x, 0.01 * x), lambda x: np.where(x >= 0, 1, 0.01)),
    "gelu": (lambda x: x * norm.cdf(x), lambda x: norm.cdf(x) + x * norm.pdf(x)),
    "silu": (
        lambda x: x / (1 + np.exp(-x)),
        lambda x: 1 / (1 + np.exp(-x)) + x * np.exp(-x) / (1 + np.exp(-x)) ** 2,
    ),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1, np.exp(x))),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_value_and_gradient(name):
    value, slope = REFERENCE[name]
    function = ops.activation(name)
    np.testing.assert_allclose(function(jnp.asarray(X)), value(X.astype(float)), rtol=1e-6, atol=1e-7)
    gradient = jax.grad(lambda x: function(x).sum())(jnp.asarray(X))
    np.testing.assert_allclose(gradient, slope(X.astype(float)), rtol=1e-5, atol=1e-7)


def test_scaled_tanh_keeps_plus_and_minus_one():
    np.testing.assert_allclose(ops.scaled_tanh(jnp.array([1.0, -1.0])), [1, -1], atol=1e-4)


def test_prelu_learns_one_slope_per_channel():
    x = jnp.array([[-2.0, -2.0], [3.0, -1.0]])
    slope = jnp.array([0.5, 0.1])
    np.testing.assert_allclose(ops.prelu(x, slope), [[-1, -0.2], [3, -0.1]], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda s: ops.prelu(x, s).sum())(slope), [-2, -3], rtol=1e-6)


def test_maxout_takes_the_larger_of_neighbours():
    np.testing.assert_array_equal(ops.maxout(jnp.array([[1.0, 4.0, -2.0, -3.0]])), [[4, -2]])
    with pytest.raises(ConfigError, match="multiple of 2"):
        ops.maxout(jnp.zeros((1, 3)))


def test_every_activation_is_tested_and_unknown_ones_list_the_legal():
    assert set(REFERENCE) | {"maxout"} == set(ops.ACTIVATIONS)
    with pytest.raises(ConfigError, match=r"'swish'.*scaled_tanh"):
        ops.activation("swish")
