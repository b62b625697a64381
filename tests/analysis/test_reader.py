"""Networks of plain Flax, as users write them."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cnn_jax import analysis, ops
from cnn_jax.errors import ConfigError, GeometryError

VGG_D = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


class Vgg(nn.Module):
    """VGG-16 with Flax's own layers and functions, without a name of its own anywhere."""

    @nn.compact
    def __call__(self, x):
        for features in VGG_D:
            x = nn.max_pool(x, (2, 2), (2, 2)) if features == "M" else nn.relu(nn.Conv(features, (3, 3), padding=1)(x))
        x = x.reshape(x.shape[0], -1)
        for features in (4096, 4096):
            x = nn.Dropout(0.5, deterministic=True)(nn.relu(nn.Dense(features)(x)))
        return nn.Dense(1000)(x)


class AlexNet(nn.Module):
    """AlexNet of 2012, two groups, as a list in `setup`."""

    def setup(self):
        self.convs = [
            nn.Conv(96, (11, 11), strides=(4, 4), padding="VALID"),
            nn.Conv(256, (5, 5), padding=2, feature_group_count=2),
            nn.Conv(384, (3, 3), padding=1),
            nn.Conv(384, (3, 3), padding=1, feature_group_count=2),
            nn.Conv(256, (3, 3), padding=1, feature_group_count=2),
        ]
        self.head = nn.Sequential([nn.Dense(4096), nn.relu, nn.Dense(4096), jnp.tanh, nn.Dense(1000)])

    def __call__(self, x):
        for i, conv in enumerate(self.convs):
            x = nn.relu(conv(x))
            x = nn.max_pool(x, (3, 3), (2, 2)) if i in (0, 1, 4) else x
        return self.head(x.reshape(x.shape[0], -1))


class Block(nn.Module):
    features: int
    strides: int

    @nn.compact
    def __call__(self, x, train):
        conv = lambda n, k, s: nn.Conv(n, (k, k), strides=(s, s), padding=k // 2, use_bias=False)  # noqa: E731
        norm = lambda: nn.BatchNorm(use_running_average=not train)  # noqa: E731
        y = nn.relu(norm()(conv(self.features, 3, self.strides)(x)))
        y = norm()(conv(self.features, 3, 1)(y))
        if self.strides > 1:
            x = norm()(conv(self.features, 1, self.strides)(x))
        return nn.relu(x + y)


class ResNet(nn.Module):
    """ResNet-18 in plain Flax, rematerialised."""

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Conv(64, (7, 7), strides=(2, 2), padding=3, use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), (2, 2))
        for i, features in enumerate((64, 128, 256, 512)):
            for j in range(2):
                x = nn.remat(Block, static_argnums=(2,))(features, 2 if i and not j else 1)(x, train)
        return nn.Dense(1000)(x.mean((1, 2)))


def test_plain_vgg_has_the_published_totals_and_finishes_in_a_second():
    total = analysis.totals(Vgg(), (224, 224, 3))
    expected = {
        "params": 138_357_544,
        "weights": 138_344_128,
        "macs": 15_470_264_320,
        "receptive_field": 212,
        "jump": 32,
    }
    assert {name: total[name] for name in expected} == expected
    assert total["activations"] == 15_087_080


def test_plain_alexnet_shows_its_groups():
    table = analysis.show(AlexNet(), (227, 227, 3))
    assert table.total.params == 60_965_224
    assert table.total.macs == 724_406_816
    assert [row.groups for row in table if row.type == "conv"] == [1, 2, 1, 2, 2]
    assert table["convs_0"].kernel == (11, 11)
    assert table["convs_0"].strides == (4, 4)


def test_plain_resnet_has_its_joins_and_statistics():
    table = analysis.show(ResNet(), (224, 224, 3))
    total = table.total
    assert (total.params, total.weights, total.batch_stats) == (11_689_512, 11_678_912, 9_600)
    assert total.macs == 1_814_073_344
    assert total.receptive_field == (435, 435)
    kinds = [row.type for row in table]
    assert kinds.count("add") == 8
    assert kinds.count("batch_norm") == 20
    assert kinds[-2:] == ["global_avg_pool", "dense"]


class Everything(nn.Module):
    """One of each, written as functions or layers."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, (3, 3), padding="SAME", strides=(2, 2), name="same")(x)
        x = nn.LayerNorm(name="norm")(x)
        x = nn.gelu(x)
        x = nn.GroupNorm(4, name="group")(x)
        x = nn.leaky_relu(x)
        x = nn.avg_pool(x, (3, 3), (1, 1), padding="SAME")
        x = -nn.max_pool(-x, (2, 2), (2, 2))
        x = nn.ConvTranspose(4, (4, 4), strides=(2, 2), padding=((2, 2), (2, 2)), name="up")(x)
        x = jax.image.resize(x, (x.shape[0], 20, 20, 4), "bilinear")
        x = nn.Conv(8, (3, 3), padding=((1, 1), (1, 1)), kernel_dilation=2, feature_group_count=4, name="grouped")(x)
        x = jnp.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode="wrap")
        x = nn.Conv(2, (5, 3), padding="VALID", use_bias=False, name="wrapped")(x)
        return nn.Dense(3, name="fc")(jnp.max(x, (1, 2)))


def test_each_operation_is_called_what_it_is():
    table = analysis.show(Everything(), (24, 24, 3))
    assert [row.type for row in table] == [
        "conv", "layer_norm", "gelu", "group_norm", "leaky_relu", "avg_pool", "min_pool", "conv_transpose", "resize",
        "conv", "conv", "global_max_pool", "dense",
    ]  # fmt: skip
    assert table["same"].padding == ((0, 1), (0, 1))
    assert table["up"].padding == ((1, 1), (1, 1))
    assert table["up"].strides == (2, 2)
    assert table["up"].output == (12, 12, 4)
    assert table["up"].macs == 6 * 6 * 4 * 4 * 8 * 4
    assert (table["grouped"].groups, table["grouped"].dilation) == (4, (2, 2))
    assert table["wrapped"].padding == ((2, 2), (1, 1))
    assert table["wrapped"].params == table["wrapped"].weights == 5 * 3 * 8 * 2
    assert table["norm"].params == 16
    assert table["norm"].weights == 0


class Decoder(nn.Module):
    """This project's operations that make maps larger."""

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.ones, (4, 4, 6, x.shape[-1]))
        x = ops.conv_transpose(x, kernel, strides=2, padding=1)
        x = ops.upsample(x, 3)
        x = ops.resize(x, (10, 10))
        n, h, w, _ = x.shape
        x = x[..., :4].reshape(n, h, w, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, 1)
        return ops.min_pool(x[:, 1:-1, 1:-1], 2)


def test_operations_that_make_maps_larger():
    table = analysis.show(Decoder(), (5, 6, 3))
    assert [row.type for row in table] == [
        "conv_transpose", "upsample", "resize", "depth_to_space", "crop", "min_pool",
    ]  # fmt: skip
    first = table.layers[0]
    assert (first.kernel, first.strides, first.padding) == ((4, 4), (2, 2), ((1, 1), (1, 1)))
    assert first.output == (10, 12, 6)
    assert first.macs == 5 * 6 * 4 * 4 * 6 * 3
    assert [row.output for row in table][1:] == [(30, 36, 6), (10, 10, 6), (20, 20, 1), (18, 18, 1), (9, 9, 1)]


def test_one_and_three_dimensions():
    class Line(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(nn.max_pool(nn.Conv(4, (5,), padding="VALID")(x), (2,), (2,)).reshape(x.shape[0], -1))

    class Volume(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(4, (3, 3, 3), strides=(1, 2, 2), padding="VALID")(x)

    line = analysis.show(Line(), (30, 2))
    assert [row.output for row in line] == [(26, 4), (13, 4), (2,)]
    assert line.total.receptive_field == (6,)
    assert line.to_dict()["total"]["receptive_field"] == 6
    volume = analysis.show(Volume(), (8, 9, 9, 1))
    assert volume.layers[0].output == (6, 4, 4, 4)
    assert volume.layers[0].macs == 6 * 4 * 4 * 27 * 4
    assert volume.layers[0].to_dict()["jump"] == [1, 2, 2]


def test_layers_stacked_in_a_loop_are_shown_one_by_one():
    class Step(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.relu(nn.Conv(4, (3, 3), padding=1)(x)), None

    class Stack(nn.Module):
        @nn.compact
        def __call__(self, x):
            scanned = nn.scan(Step, variable_axes={"params": 0}, split_rngs={"params": True}, length=5)
            return scanned(name="stack")(nn.Conv(4, (1, 1))(x), None)[0]

    table = analysis.show(Stack(), (12, 12, 1))
    convs = [row for row in table if row.type == "conv"]
    assert [row.params for row in convs[1:]] == [4 * 4 * 9 + 4] * 5
    assert table.total.receptive_field == (11, 11)
    assert sum(row.params for row in table) == table.total.params


def test_a_module_used_twice_counts_its_parameters_once():
    class Shared(nn.Module):
        @nn.compact
        def __call__(self, x):
            conv = nn.Conv(3, (3, 3), padding=1, name="shared")
            return conv(conv(x))

    table = analysis.show(Shared(), (8, 8, 3))
    assert [row.params for row in table] == [84, 0]
    assert [row.name for row in table] == ["shared", "shared_2"]
    assert table.total.params == 84
    assert table.total.macs == 2 * 64 * 81


def test_gate_sees_the_whole_map_and_normalisation_over_the_map_is_no_pooling():
    class Squeeze(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.InstanceNorm(name="norm")(nn.Conv(4, (3, 3), padding=1)(x))
            gate = nn.sigmoid(nn.Dense(4)(nn.relu(nn.Dense(2)(x.mean((1, 2))))))
            return nn.Conv(2, (1, 1))(x * gate[:, None, None])

    table = analysis.show(Squeeze(), (16, 16, 1))
    assert [row.type for row in table] == [
        "conv", "instance_norm", "global_avg_pool", "dense", "relu", "dense", "sigmoid", "conv",
    ]  # fmt: skip
    assert table.box(table.layers[-1].name, 3, 3) == ((0, 15), (0, 15))


def test_nothing_is_computed_or_allocated():
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1000)(x.reshape(x.shape[0], -1))

    assert analysis.totals(Wide(), (1000, 1000, 3))["params"] == 3_000_001_000


class Illegal(nn.Module):
    window: int = 2

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.Conv(4, (3, 3), padding="VALID", name="first")(x), (self.window, self.window), (2, 2))
        return nn.Dense(3, name="fc")(nn.Conv(4, (11, 11), padding="VALID", name="big")(x).reshape(x.shape[0], -1))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Illegal(),
            "E-GEOM-01: layer big: 11x11 kernel on a 3x3 input .* a kernel of at most 3, padding of at least 4",
        ),
        (Illegal(window=30), "E-GEOM-31: layer big: is given an empty map .* a smaller kernel"),
    ],
)
def test_empty_maps_are_refused_where_they_arise(model, message):
    with pytest.raises(GeometryError, match=message):
        analysis.show(model, (9, 9, 1))


@pytest.mark.parametrize("shape", [(0, 32, 3), (-1, 5, 3), ("a", 2, 3), ()])
def test_an_input_without_pixels_is_refused(shape):
    with pytest.raises(GeometryError, match="224,224,3"):
        analysis.show(Vgg(), shape)


def test_unknown_layers_and_units_are_refused():
    table = analysis.show(AlexNet(), (227, 227, 3))
    with pytest.raises(ConfigError, match="convs_1"):
        table.box("convs1", 0, 0)
    with pytest.raises(ConfigError, match="0 to 54"):
        table.box("convs_0", 55, 0)
    with pytest.raises(ConfigError, match="2 coordinates"):
        table.box("convs_0", 1)


def test_training_mode_has_the_same_layers_and_batch_norm_sees_the_whole_map():
    """A unit after a batch norm depends, while training, on every pixel through the statistics of the map."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool = False):
            x = nn.BatchNorm(use_running_average=not train, name="bn")(nn.Conv(4, (3, 3), name="conv")(x))
            x = nn.Dropout(0.5, deterministic=not train, name="drop")(nn.relu(x))
            return nn.Dense(3, name="fc")(x.mean((1, 2)))

    evaluating, training = (analysis.show(Net(), (8, 8, 3), train=train) for train in (False, True))
    assert [(row.name, row.type, row.params, row.macs) for row in training] == [
        (row.name, row.type, row.params, row.macs) for row in evaluating
    ]
    assert training.total.bytes_training == evaluating.total.bytes_training
    assert evaluating.box("bn", 0, 0) == ((0, 1), (0, 1))
    assert training.box("bn", 0, 0) == ((0, 7), (0, 7))
    named = analysis.show_named("resnet_cifar:20", train=True).total
    assert (named.params, named.macs) == (269_722, 40_551_040)
