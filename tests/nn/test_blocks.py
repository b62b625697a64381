"""Residual, inception and separable blocks against the same computation written out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import nn

KEY = jax.random.key(0)
rng = np.random.default_rng(0)
X = jnp.asarray(rng.normal(size=(2, 8, 8, 4)), jnp.float32)


def run(module, *args, **options) -> Any:
    """`module.apply`, whose result has no one type."""
    return module.apply(*args, **options)


def conv(x, kernel, strides=1, padding=None, groups=1):
    k = kernel.shape[0]
    pads = [((k - 1) // 2, k // 2)] * 2 if padding is None else padding
    return lax.conv_general_dilated(
        x, kernel, (strides,) * 2, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


def relu(x):
    return jnp.maximum(x, 0)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def fresh(block, x=X):
    """Output and kernels of the block; fresh running statistics make its batch norms divide by sqrt(1 + epsilon)."""
    made = jax.eval_shape(lambda x: block.init(KEY, x, train=False), x)
    fill = {"kernel": lambda shape: rng.normal(0, 0.3, shape), "scale": np.ones, "var": np.ones}
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(fill.get(path[-1].key, np.zeros)(leaf.shape), leaf.dtype), made
    )
    y = jax.jit(lambda v, x: run(block, v, x, train=False))(variables, x)
    return y, {name: p["kernel"] for name, p in variables["params"].items() if "kernel" in p}


BN = 1 / np.sqrt(1 + 1e-5).astype(np.float32)


def test_basic_block_with_zero_padded_shortcut():
    y, w = fresh(nn.ResidualBlock(6, 2, shortcut="A"))
    assert set(w) == {"conv1", "conv2"}
    body = BN * conv(relu(BN * conv(X, w["conv1"], 2)), w["conv2"])
    around = np.zeros((2, 4, 4, 6), np.float32)
    around[..., :4] = X[:, ::2, ::2]
    close(y, relu(body + around))


@pytest.mark.parametrize(("in_1x1", "first", "second"), [(False, 1, 2), (True, 2, 1)])
def test_bottleneck_with_projection(in_1x1, first, second):
    y, w = fresh(nn.ResidualBlock(3, 2, bottleneck=True, strides_in_1x1=in_1x1))
    body = relu(BN * conv(X, w["conv1"], first))
    body = relu(BN * conv(body, w["conv2"], second))
    body = BN * conv(body, w["conv3"])
    close(y, relu(body + BN * conv(X, w["shortcut"], 2)))


@pytest.mark.parametrize(
    ("shortcut", "features", "strides", "projected"),
    [
        ("B", 4, 1, False),
        ("B", 4, 2, True),
        ("B", 5, 1, True),
        ("C", 4, 1, True),
        ("A", 5, 2, False),
        ("none", 5, 2, False),
    ],
)
def test_where_the_options_project(shortcut, features, strides, projected):
    block = nn.ResidualBlock(features, strides, shortcut=shortcut)
    variables = jax.eval_shape(lambda x: block.init(KEY, x, train=False), X)
    assert ("shortcut" in variables["params"]) == projected


def test_plain_block_has_no_way_around():
    y, w = fresh(nn.ResidualBlock(4, shortcut="none"))
    close(y, relu(BN * conv(relu(BN * conv(X, w["conv1"])), w["conv2"])))


def test_preactivated_identity_runs_through():
    y, w = fresh(nn.ResidualBlock(4, preactivation=True, shortcut="A"))
    close(y, X + conv(relu(BN * conv(relu(BN * X), w["conv1"])), w["conv2"]))


def test_preactivated_projection_shares_the_first_activation():
    y, w = fresh(nn.ResidualBlock(6, 2, preactivation=True))
    first = relu(BN * X)
    close(y, conv(first, w["shortcut"], 2) + conv(relu(BN * conv(first, w["conv1"], 2)), w["conv2"]))


def test_inception_concatenates_four_branches():
    widths = nn.Widths(2, 3, 4, 1, 2, 3)
    y, w = fresh(nn.Inception(widths))
    pooled = lax.reduce_window(X, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = [
        conv(X, w["1x1"]),
        conv(relu(conv(X, w["reduce_3x3"])), w["3x3"]),
        conv(relu(conv(X, w["reduce_5x5"])), w["5x5"]),
        conv(pooled, w["pool_proj"]),
    ]
    assert w["5x5"].shape == (5, 5, 1, 2)
    close(y, relu(jnp.concatenate(expected, -1)))


def test_naive_inception_costs_what_the_paper_avoids():
    """Figure 2a on 28x28x192: 416 channels and 387,072 weights, against 256 and 163,328 with reductions."""
    widths = nn.Widths(64, 96, 128, 16, 32, 32)
    image = jax.ShapeDtypeStruct((1, 28, 28, 192), jnp.float32)
    for kind, channels, weights in (("naive", 416, 387_072), ("reduced", 256, 163_328)):
        block = nn.Inception(widths, kind=kind)
        y, variables = jax.eval_shape(lambda x, b=block: b.init_with_output(KEY, x, train=False), image)
        assert y.shape == (1, 28, 28, channels)
        assert sum(p["kernel"].size for p in variables["params"].values()) == weights


def test_separable_convolution_is_depthwise_then_pointwise():
    w = {
        "depthwise": jnp.asarray(rng.normal(size=(3, 3, 1, 4)), jnp.float32),
        "pointwise": jnp.asarray(rng.normal(size=(1, 1, 4, 5)), jnp.float32),
    }
    variables = {"params": {name: {"kernel": kernel} for name, kernel in w.items()}}
    made = jax.eval_shape(nn.SeparableConv(5).init, KEY, X)
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, variables)
    for between, function in (("identity", lambda x: x), ("relu", relu)):
        y = run(nn.SeparableConv(5, strides=2, between=between), variables, X)
        close(y, conv(function(conv(X, w["depthwise"], 2, groups=4)), w["pointwise"]))


def test_an_even_kernel_keeps_the_size():
    block = nn.ResidualBlock(4, kernel_size=4)
    assert jax.eval_shape(lambda x: block.init_with_output(KEY, x, train=False)[0], X).shape == X.shape


def test_scaled_features_divide_into_groups():
    assert [nn.scale_features(48, w, 4) for w in (1.0, 0.5, 0.3, 0.01)] == [48, 24, 16, 4]
