"""Normalisation and dropout against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.errors import ConfigError

rng = np.random.default_rng(0)
X = (rng.normal(3.0, 2.0, (3, 5, 4, 8))).astype(np.float32)
SCALE = rng.normal(1.0, 0.3, 8).astype(np.float32)
BIAS = rng.normal(0.0, 0.3, 8).astype(np.float32)


def standardised(x, axes, epsilon=1e-5):
    x = x.astype(float)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def affine(x):
    return x * SCALE.astype(float) + BIAS


def test_batch_norm_uses_the_statistics_given():
    mean, variance = (m.reshape(8) for m in ops.moments(jnp.asarray(X), (0, 1, 2)))
    y = ops.batch_norm(jnp.asarray(X), mean, variance, jnp.asarray(SCALE), jnp.asarray(BIAS))
    np.testing.assert_allclose(y, affine(standardised(X, (0, 1, 2))), rtol=1e-4, atol=1e-4)
    other = ops.batch_norm(jnp.asarray(X), jnp.zeros(8), jnp.full(8, 4.0), epsilon=0.0)
    np.testing.assert_allclose(other, X / 2, rtol=1e-6)


def test_moments_are_float32_under_bfloat16():
    """bfloat16 has 8 bits: summed in it, the mean of these 16,384 values near 100 would be off by units."""
    x = rng.normal(100.0, 1.0, (64, 16, 16, 2)).astype(jnp.bfloat16)
    mean, variance = ops.moments(jnp.asarray(x), (0, 1, 2))
    assert mean.dtype == variance.dtype == jnp.float32
    np.testing.assert_allclose(mean.reshape(2), x.astype(float).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance.reshape(2), x.astype(float).var((0, 1, 2)), rtol=2e-2)


@pytest.mark.parametrize(
    ("norm", "reference"),
    [
        (ops.layer_norm, lambda x: standardised(x, (1, 2, 3))),
        (ops.instance_norm, lambda x: standardised(x, (1, 2))),
        (
            lambda x, *a: ops.group_norm(x, 4, *a),
            lambda x: standardised(x.reshape(3, 5, 4, 4, 2), (1, 2, 4)).reshape(x.shape),
        ),
        (lambda x, *a: ops.group_norm(x, 1, *a), lambda x: standardised(x, (1, 2, 3))),
    ],
)
def test_norms_of_one_example(norm, reference):
    y = norm(jnp.asarray(X), jnp.asarray(SCALE), jnp.asarray(BIAS))
    np.testing.assert_allclose(y, affine(reference(X)), rtol=1e-4, atol=1e-4)
    assert norm(jnp.asarray(X, jnp.bfloat16)).dtype == jnp.bfloat16


def test_group_norm_refuses_groups_that_do_not_divide():
    with pytest.raises(ConfigError, match=r"3 groups.*8 channels"):
        ops.group_norm(jnp.asarray(X), 3)


def lrn_loop(x, size, alpha, beta, k, divide_by_n):
    """AlexNet section 3.3, term by term."""
    y = np.zeros(x.shape)
    channels = x.shape[-1]
    for i in range(channels):
        total = np.zeros(x.shape[:-1])
        for j in range(max(0, i - size // 2), min(channels - 1, i + size // 2) + 1):
            total += x[..., j].astype(float) ** 2
        y[..., i] = x[..., i] / (k + (alpha / size if divide_by_n else alpha) * total) ** beta
    return y


@pytest.mark.parametrize(
    "options",
    [
        {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0, "divide_by_n": False},  # the paper's
        {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0, "divide_by_n": True},  # Caffe's
        {"size": 3, "alpha": 0.5, "beta": 0.5, "k": 1.0, "divide_by_n": False},
        {"size": 11, "alpha": 0.1, "beta": 0.75, "k": 1.0, "divide_by_n": True},  # wider than the image is deep
    ],
)
def test_local_response_norm(options):
    x = X * 10
    y = ops.local_response_norm(jnp.asarray(x), **options)
    np.testing.assert_allclose(y, lrn_loop(x, **options), rtol=2e-6, atol=1e-6)
    # The gradient against differences in float64: 1e-4 of the values' scale.
    weight, direction = rng.normal(size=x.shape), rng.normal(size=x.shape)
    step = 1e-4

    def along(t):
        return (lrn_loop(x.astype(float) + t * direction, **options) * weight).sum()

    gradient = jax.grad(lambda x: (ops.local_response_norm(x, **options) * weight.astype(np.float32)).sum())(
        jnp.asarray(x)
    )
    np.testing.assert_allclose((gradient * direction).sum(), (along(step) - along(-step)) / (2 * step), rtol=1e-3)


def test_local_response_norm_defaults_are_the_papers():
    y = ops.local_response_norm(jnp.asarray(X * 50))
    np.testing.assert_allclose(y, lrn_loop(X * 50, 5, 1e-4, 0.75, 2.0, False), rtol=2e-6)
    with pytest.raises(ConfigError, match=r"odd.*4"):
        ops.local_response_norm(jnp.asarray(X), size=4)


def contrast_loop(x, size):
    """Jarrett et al. 2009, section 2, pixel by pixel."""
    n, height, width, _ = x.shape
    x = x.astype(float)
    offset = np.arange(size) - size // 2
    window = np.exp(-0.5 * (offset[:, None] ** 2 + offset[None] ** 2) / (size / 4) ** 2)

    def local(values, n, i, j):
        total = mass = 0.0
        for a in range(size):
            for b in range(size):
                r, c = i + a - size // 2, j + b - size // 2
                if 0 <= r < height and 0 <= c < width:
                    total += window[a, b] * values[n, r, c].mean()
                    mass += window[a, b]
        return total / mass

    places = [(a, i, j) for a in range(n) for i in range(height) for j in range(width)]
    centred, deviation = np.zeros_like(x), np.zeros(x.shape[:3])
    for place in places:
        centred[place] = x[place] - local(x, *place)
    for place in places:
        deviation[place] = np.sqrt(local(centred**2, *place))
    return centred / np.maximum(deviation, deviation.mean((1, 2), keepdims=True))[..., None]


@pytest.mark.slow
def test_contrast_norm():
    x = X[:2, :, :, :3]
    np.testing.assert_allclose(ops.contrast_norm(jnp.asarray(x), size=3), contrast_loop(x, 3), rtol=1e-4, atol=1e-4)
    flat = jnp.full((1, 6, 6, 2), 3.0)
    np.testing.assert_allclose(ops.contrast_norm(flat), np.zeros(flat.shape), atol=1e-2)
    assert np.isfinite(jax.grad(lambda x: ops.contrast_norm(x).sum())(flat)).all()
    with pytest.raises(ConfigError, match="odd"):
        ops.contrast_norm(flat, size=4)


def test_dropout_keeps_the_mean_and_drops_the_rate():
    y = np.asarray(ops.dropout(jax.random.key(3), jnp.ones((200, 200)), 0.3))
    kept = y[y != 0]
    np.testing.assert_allclose(kept, 1 / 0.7, rtol=1e-6)
    assert abs(1 - kept.size / y.size - 0.3) < 4 * np.sqrt(0.3 * 0.7 / y.size)
    slopes = jax.grad(lambda x: ops.dropout(jax.random.key(3), x, 0.3).sum())(jnp.ones((200, 200)))
    np.testing.assert_array_equal(slopes, y)
    x = jnp.ones((2, 3))
    assert ops.dropout(jax.random.key(0), x, 0.0) is x
    for rate in (1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="rate"):
            ops.dropout(jax.random.key(0), x, rate)
