"""Linen layers: parameters, statistics, dtype, and errors that know where they happened."""

from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import nn
from cnn_jax.errors import ConfigError, GeometryError

KEY = jax.random.key(0)
rng = np.random.default_rng(0)


def run(module, *args, **options) -> Any:
    """`module.apply`, whose result has no one type."""
    return module.apply(*args, **options)


def test_conv_is_lax_with_a_bias():
    x = jnp.asarray(rng.normal(size=(2, 9, 8, 6)), jnp.float32)
    layer = nn.Conv(4, (3, 2), (2, 1), padding=((1, 0), (0, 1)), feature_group_count=2)
    assert jax.eval_shape(layer.init, KEY, x)["params"]["kernel"].shape == (3, 2, 3, 4)
    kernel = jnp.asarray(rng.normal(size=(3, 2, 3, 4)), jnp.float32)
    variables = {"params": {"kernel": kernel, "bias": jnp.ones(4)}}
    expected = 1 + lax.conv_general_dilated(
        x, kernel, (2, 1), ((1, 0), (0, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=2
    )
    np.testing.assert_allclose(run(layer, variables, x), expected, rtol=1e-4, atol=1e-5)


def test_layers_compute_in_the_dtype_of_the_input():
    x = jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.bfloat16)

    def made(layer):
        return jax.eval_shape(lambda x: layer.init_with_output(KEY, x), x)

    for layer in (
        nn.Conv(3, 3, padding=1),
        nn.Dense(3),
        nn.GroupNorm(1),
        nn.LocalResponseNorm(),
        nn.ContrastNorm(3),
        nn.Activation("prelu"),
    ):
        y, variables = made(layer)
        assert y.dtype == jnp.bfloat16
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} <= {jnp.dtype("float32")}
    assert made(nn.Conv(3, 3, padding=1, dtype=jnp.float32))[0].dtype == jnp.float32


def test_batch_norm_statistics_are_float32_under_bfloat16():
    x = rng.normal(50.0, 1.0, (32, 8, 8, 3)).astype(jnp.bfloat16)
    layer = nn.BatchNorm()
    variables = layer.init(KEY, x, train=False)
    y, new = jax.jit(lambda v, x: run(layer, v, x, train=True, mutable=["batch_stats"]))(variables, jnp.asarray(x))
    assert y.dtype == jnp.bfloat16
    exact = x.astype(float)
    stats = new["batch_stats"]
    assert stats["mean"].dtype == stats["var"].dtype == jnp.float32
    np.testing.assert_allclose(stats["mean"], 0.1 * exact.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * exact.var((0, 1, 2)), rtol=1e-3)
    normalised = (exact - exact.mean((0, 1, 2))) / np.sqrt(exact.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(y.astype(jnp.float32), normalised, rtol=2e-2, atol=2e-2)


def test_batch_norm_evaluates_with_running_statistics():
    x = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    layer = nn.BatchNorm(epsilon=0.0)
    variables = layer.init(KEY, x, train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(3))
    variables = {
        "params": {"scale": jnp.full(3, 2.0), "bias": jnp.ones(3)},
        "batch_stats": {"mean": jnp.full(3, 5.0), "var": jnp.full(3, 4.0)},
    }
    np.testing.assert_allclose(run(layer, variables, x, train=False), (x - 5) / 2 * 2 + 1, rtol=1e-5, atol=1e-6)


def test_batch_norm_synchronises_over_replicas():
    x = jnp.asarray(rng.normal(2.0, 3.0, (8, 4, 4, 3)), jnp.float32)
    layer = nn.BatchNorm()
    variables = layer.init(KEY, x, train=True)

    def apply(variables, x, axis=None):
        with nn.cross_replica(axis):
            return run(layer, variables, x, train=True, mutable=["batch_stats"])

    def mapped(axis):
        over_replicas = jax.vmap(lambda v, x: apply(v, x, axis), in_axes=(None, 0), axis_name="replica")
        return jax.jit(over_replicas)(variables, x.reshape(2, 4, 4, 4, 3))

    whole, stats = jax.jit(apply)(variables, x)
    alone, _ = mapped(None)
    synchronised, synchronised_stats = mapped("replica")
    np.testing.assert_allclose(synchronised.reshape(whole.shape), whole, rtol=1e-4, atol=1e-5)
    for replica in (0, 1):
        jax.tree.map(lambda a, b, r=replica: np.testing.assert_allclose(a[r], b, rtol=1e-5), synchronised_stats, stats)
    assert np.abs(alone.reshape(whole.shape) - whole).max() > 1e-2


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv(4, 9, padding=0), "9x9"),
        (nn.Conv(4, 3, padding=1, feature_group_count=2), "multiple of 2"),
        (nn.MaxPool(7), "7x7"),
        (nn.AvgPool(7, 2), "7x7"),
    ],
)
def test_geometry_errors_name_the_layer(layer, words):
    class Block(linen.Module):
        @linen.compact
        def __call__(self, x):
            return layer.clone(name="inner", parent=self)(x)

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            return Block(name="outer")(x)

    with pytest.raises(GeometryError) as caught:
        jax.eval_shape(Net().init, KEY, jnp.zeros((1, 5, 5, 3)))
    assert caught.value.layer == "outer/inner"
    assert words in str(caught.value)


def test_ceil_pooling_reaches_the_last_partial_window():
    x = jnp.arange(36.0).reshape(1, 6, 6, 1)
    pooled = run(nn.MaxPool(3, 2, "CEIL"), {}, x)
    np.testing.assert_array_equal(pooled[0, :, :, 0], [[14, 16, 17], [26, 28, 29], [32, 34, 35]])
    assert run(nn.MaxPool(3, 2), {}, x).shape == (1, 2, 2, 1)


def test_dropout_is_silent_unless_training():
    x = jnp.ones((4, 50))
    layer = nn.Dropout(0.5)
    np.testing.assert_array_equal(run(layer, {}, x, train=False), x)
    dropped = run(layer, {}, x, train=True, rngs={"dropout": KEY})
    assert set(np.unique(dropped)) == {0.0, 2.0}


def test_initializers_have_the_papers_spread():
    shape = (3, 3, 20, 90)
    fan_in, fan_out = 3 * 3 * 20, 3 * 3 * 90
    expected = {
        "gaussian": 0.01,
        "gaussian_0.05": 0.05,
        "gaussian_0.1": 0.1,
        "he": np.sqrt(2 / fan_in),
        "glorot": np.sqrt(2 / (fan_in + fan_out)),
        "lecun": 2.4 / fan_in / np.sqrt(3),
        "uniform": 1 / np.sqrt(3 * fan_in),
    }
    drawn = jax.jit(lambda key: {name: nn.initializer(name)(key, shape) for name in expected})(KEY)
    for name, deviation in expected.items():
        values = np.asarray(drawn[name])
        np.testing.assert_allclose(values.std(), deviation, rtol=3e-2, err_msg=name)
        np.testing.assert_allclose(values.mean(), 0, atol=4 * deviation / np.sqrt(values.size), err_msg=name)
        # Three are uniform, the others have the tails of a Gaussian (four deviations in 16,200 draws).
        bounds = {"glorot": np.sqrt(6 / (fan_in + fan_out)), "lecun": 2.4 / fan_in, "uniform": 1 / np.sqrt(fan_in)}
        bound = bounds.get(name)
        largest = np.abs(values).max()
        assert largest <= bound if bound else largest > 2.2 * deviation, name


def test_identity_passes_through_and_bilinear_interpolates():
    x = jnp.asarray(rng.normal(size=(1, 5, 5, 3)), jnp.float32)
    same = nn.Conv(3, 3, padding=1, kernel_init=nn.initializer("identity"))
    np.testing.assert_allclose(same.init_with_output(KEY, x)[0], x, rtol=1e-6)
    # FCN surgery.py upsample_filt(4)
    row = np.array([0.25, 0.75, 0.75, 0.25])
    np.testing.assert_allclose(nn.initializer("bilinear")(KEY, (4, 4, 2, 2))[:, :, 1, 1], np.outer(row, row))


def test_partial_identity_passes_the_inputs_on_and_draws_the_rest():
    x = jnp.asarray(rng.normal(size=(1, 5, 5, 3)), jnp.float32)
    y, variables = nn.Conv(8, 3, padding=1, kernel_init=nn.initializer("partial_identity")).init_with_output(KEY, x)
    np.testing.assert_array_equal(y[..., :3], x)
    drawn = np.asarray(variables["params"]["kernel"])[..., 3:]
    assert np.all(drawn != 0)
    assert 0.9 / np.sqrt(27) < np.abs(drawn).max() <= 1 / np.sqrt(27)
    narrow = nn.Conv(2, 3, padding=1, kernel_init=nn.initializer("partial_identity"))
    np.testing.assert_array_equal(narrow.init_with_output(KEY, x)[0], x[..., :2])


def test_batch_norm_without_scale_has_a_bias_alone():
    x = jnp.asarray(rng.normal(2, 3, size=(64, 4)), jnp.float32)
    y, variables = nn.BatchNorm(epsilon=0.0, use_scale=False).init_with_output(KEY, x, train=True)
    assert list(variables["params"]) == ["bias"]
    np.testing.assert_allclose(y.mean(axis=0), np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(y.std(axis=0), np.ones(4), rtol=1e-5)


def test_whitening_takes_what_was_measured_and_both_signs():
    x = jnp.zeros((1, 5, 5, 2))
    layer = nn.Conv(16, 2, padding="VALID", kernel_init=nn.whitening())

    def filters():
        return np.asarray(layer.init(KEY, x)["params"]["kernel"]).reshape(8, 16)

    white = filters()
    np.testing.assert_array_equal(white[:, :8], -white[:, 8:])
    np.testing.assert_allclose(np.sort(np.abs(white[:, :8]).ravel())[-8:], np.ones(8), rtol=1e-3)
    with nn.measured_patches(4 * jnp.eye(8)):
        np.testing.assert_allclose(filters(), white / 2, rtol=1e-3)
    np.testing.assert_array_equal(filters(), white)


def test_unknown_names_list_the_legal_ones():
    with pytest.raises(ConfigError, match=r"'xavier'.*glorot, he"):
        nn.initializer("xavier")
    with pytest.raises(ConfigError, match=r"'bn'.*none, batch.*lrn"):
        nn.norm(jnp.zeros((1, 2)), "bn", name="n", train=False)
    with pytest.raises(ConfigError, match=r"'min'.*max, avg"):
        nn.pool(jnp.zeros((1, 2, 2, 1)), "min", 2, 2, name="p")


def test_local_norms_take_their_constants_and_others_stand_elsewhere():
    x = jnp.asarray(rng.normal(size=(1, 3, 3, 6)), jnp.float32)

    class Net(linen.Module):
        kind: str

        @linen.compact
        def __call__(self, x):
            return nn.local_norm(x, self.kind, lrn=(3, 0.5, 1.0, 2.0), name="norm1")

    squares = np.pad(np.asarray(x) ** 2, ((0, 0), (0, 0), (0, 0), (1, 1)))
    sums = squares[..., :-2] + squares[..., 1:-1] + squares[..., 2:]
    np.testing.assert_allclose(run(Net("lrn"), {}, x), x / (2 + 0.5 * sums), rtol=1e-5)
    np.testing.assert_array_equal(run(Net("batch"), {}, x), x)
    # A constant image has no contrast, whatever its level.
    np.testing.assert_allclose(run(Net("contrast"), {}, jnp.full((1, 12, 12, 2), 3.0)), 0, atol=2e-2)


def test_padding_mode_of_a_block_reaches_its_convolution():
    x = jnp.asarray(rng.normal(size=(1, 4, 4, 1)), jnp.float32)

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            settings: dict[str, Any] = {"initializer_name": "ones", "activation": "identity", "train": False}
            return nn.conv_norm_act(x, 1, 3, padding=1, padding_mode="wrap", name="conv", **settings)

    y, _ = Net().init_with_output(KEY, x)
    wrapped = np.pad(np.asarray(x)[0, :, :, 0], 1, mode="wrap")
    expected = [[wrapped[i : i + 3, j : j + 3].sum() for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(y[0, :, :, 0], expected, rtol=1e-4, atol=1e-5)
