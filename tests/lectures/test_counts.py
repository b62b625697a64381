"""Worked examples of the lectures: how many weights, neurons and floats a network has.

Lectures: 000 = TUM introduction to convolutions, 001 = TUM architectures, 002 = ETH part II, 003 = Stachniss,
004 = Pollefeys. "Weights" leave biases out, "params" count them; the lectures use both.
"""

from __future__ import annotations

import functools

import flax.linen as fnn
import pytest

from cnn_jax import analysis, nn


def flatten(x):
    return x.reshape(x.shape[0], -1)


def count(layers, input_shape) -> analysis.Table:
    return analysis.show(fnn.Sequential(layers), input_shape)


def conv(features: int, kernel_size: int = 5, padding: int = 0) -> nn.Conv:
    return nn.Conv(features, kernel_size, padding=padding)


@functools.cache
def named(name: str) -> analysis.Table:
    return analysis.show_named(name)


@pytest.mark.parametrize(
    ("shape", "units", "weights", "params"),
    [
        ((5, 1, 1), 1, 5, 6),  # 000: one neuron on five numbers
        ((5, 5, 1), 1, 25, 26),  # 000: on a 5x5 image
        ((5, 5, 3), 1, 75, 76),  # 000: on a 5x5x3 image
        ((5, 5, 3), 3, 225, 228),  # 000: three neurons on it
        ((1000, 1000, 3), 1000, 3_000_000_000, 3_000_001_000),  # 000; 004: D = 3 x 10^6
        ((64, 64, 1), 128, 524_288, 524_416),  # 002: 64x64 to 128
        ((32, 32, 3), 10, 30_720, 30_730),  # 004: W is 10 x 3073, the bias its last column
    ],
)
def test_fully_connected_on_an_image(shape, units, weights, params):
    """Lectures 000, 002 and 004: a weight for every pixel, channel and neuron."""
    total = count([flatten, nn.Dense(units)], shape).total
    assert (total.weights, total.params) == (weights, params)


def test_prototype_of_three_convolutions():
    """The lectures' 32-28-24-20 prototype (no number recorded): 380 + 1,008 + 2,412 = 3,800 params."""
    table = count([conv(5), fnn.relu, conv(8), fnn.relu, conv(12), fnn.relu], (32, 32, 3))
    rows = [row for row in table if row.type == "conv"]
    assert [row.output for row in rows] == [(28, 28, 5), (24, 24, 8), (20, 20, 12)]
    assert [row.params for row in rows] == [5 * 76, 8 * 126, 12 * 201] == [380, 1_008, 2_412]
    assert (table.total.params, table.total.weights, table.total.macs) == (3_800, 3_775, 1_830_000)
    assert table.total.receptive_field == (13, 13)


def test_ten_filters_have_760_parameters():
    """The lectures' ten 5x5 filters with padding 2 (no number recorded): 32x32x10, 76 each, 760; 750 weights."""
    table = count([conv(10, padding=2)], (32, 32, 3))
    assert table.layers[0].output == (32, 32, 10)
    assert (table.total.params, table.total.weights, table.total.macs) == (76 * 10, 750, 768_000)


def test_four_kernels_on_a_256_pixel_image():
    """Lecture 003: a kernel of 3x5x5 = 75 weights, four are 300 (304 with biases), at 63,504 places each."""
    row = count([conv(4)], (256, 256, 3)).layers[0]
    assert row.output == (252, 252, 4)
    assert (row.weights, row.params) == (4 * 75, 304)
    assert row.macs == 63_504 * 300 == 19_051_200


@pytest.mark.parametrize(("n", "d", "k"), [(3, 5, 5), (16, 7, 3), (64, 1, 1)])
def test_parameters_of_a_convolution(n, d, k):
    """Lecture 004: from N to D channels D (N k k + 1)."""
    assert count([conv(d, k)], (8, 8, n)).total.params == d * (n * k * k + 1)


def test_exercise_fully_connected():
    """Lecture 002, "Number of parameters": 4096-256-128-64-16."""
    table = count([flatten, nn.Dense(256), nn.Dense(128), nn.Dense(64), nn.Dense(16)], (64, 64, 1))
    rows = [row for row in table if row.type == "dense"]
    assert [row.weights for row in rows] == [1_048_576, 32_768, 8_192, 1_024]
    assert (table.total.weights, table.total.params) == (1_090_560, 1_091_024)
    assert table.total.params - table.total.weights == 464
    assert sum(row.output[0] for row in rows[:-1]) == 448


def test_exercise_convolutional():
    """Lecture 002, "Number of parameters": 5x5 valid, 64 to 16 maps at 60, 56 and 52, then 16 units."""
    table = count([conv(16), conv(16), conv(16), flatten, nn.Dense(16)], (64, 64, 1))
    rows = [row for row in table if row.params]
    assert [row.output for row in rows] == [(60, 60, 16), (56, 56, 16), (52, 52, 16), (16,)]
    assert [row.weights for row in rows] == [400, 6_400, 6_400, 692_224]
    assert (table.total.weights, table.total.params, table.total.macs) == (705_424, 705_488, 39_508_224)
    assert table.total.params - table.total.weights == 64
    hidden = [row.activations for row in rows[:-1]]
    assert hidden == [57_600, 50_176, 43_264]
    assert sum(hidden) == 151_040


@pytest.mark.parametrize(
    ("convolutions", "size", "stacked", "single", "more"), [(2, 5, 18, 25, 39), (3, 7, 27, 49, 81)], ids=["5x5", "7x7"]
)
def test_stacked_three_by_three(convolutions, size, stacked, single, more):
    """VGG's stacks (no lecture number recorded): two 3x3 see 5x5 with 18 C^2 weights, not 25; three 7x7, 27 for 49.

    The 7x7 convolution has 81% more weights (Simonyan and Zisserman 2014, section 2.3).
    """
    channels = 4
    stack = count([conv(channels, 3) for _ in range(convolutions)], (16, 16, channels)).total
    one = count([conv(channels, size)], (16, 16, channels)).total
    assert stack.receptive_field == one.receptive_field == (size, size)
    assert (stack.weights, one.weights) == (stacked * channels**2, single * channels**2)
    assert round(100 * (one.weights / stack.weights - 1)) == more


def test_first_convolution_of_alexnet():
    """Lecture 001: (11x11x3 + 1) 96 = 34,944 ("35K"), 55x55x96; 105,705,600 were no weight shared (CS231n)."""
    row = named("alexnet:slides")["conv1"]
    assert row.output == (55, 55, 96)
    assert row.params == (11 * 11 * 3 + 1) * 96 == 34_944
    assert row.activations * (row.params // 96) == 105_705_600
    assert named("alexnet:paper")["conv1"].params == 34_944


# Lecture 001's table of VGG-16: layer, floats in memory, weights; the input's 150,528 floats are written by no layer.
VGG16 = [
    ("conv1_1", 224 * 224 * 64, 3 * 3 * 3 * 64),
    ("conv1_2", 224 * 224 * 64, 3 * 3 * 64 * 64),
    ("pool1", 112 * 112 * 64, 0),
    ("conv2_1", 112 * 112 * 128, 3 * 3 * 64 * 128),
    ("conv2_2", 112 * 112 * 128, 3 * 3 * 128 * 128),
    ("pool2", 56 * 56 * 128, 0),
    ("conv3_1", 56 * 56 * 256, 3 * 3 * 128 * 256),
    ("conv3_2", 56 * 56 * 256, 3 * 3 * 256 * 256),
    ("conv3_3", 56 * 56 * 256, 3 * 3 * 256 * 256),
    ("pool3", 28 * 28 * 256, 0),
    ("conv4_1", 28 * 28 * 512, 3 * 3 * 256 * 512),
    ("conv4_2", 28 * 28 * 512, 3 * 3 * 512 * 512),
    ("conv4_3", 28 * 28 * 512, 3 * 3 * 512 * 512),
    ("pool4", 14 * 14 * 512, 0),
    ("conv5_1", 14 * 14 * 512, 3 * 3 * 512 * 512),
    ("conv5_2", 14 * 14 * 512, 3 * 3 * 512 * 512),
    ("conv5_3", 14 * 14 * 512, 3 * 3 * 512 * 512),
    ("pool5", 7 * 7 * 512, 0),
    ("fc6", 4096, 102_760_448),
    ("fc7", 4096, 16_777_216),
    ("fc8", 1000, 4_096_000),
]


def test_table_of_vgg16():
    """Lecture 001: every row; 138,344,128 weights and 138,357,544 params; 15,237,608 floats, not "24M ~ 93MB"."""
    table = named("vgg:D")
    rows = [(row.name, row.activations, row.weights) for row in table if row.activations]
    assert rows == VGG16
    assert (table.total.weights, table.total.params) == (138_344_128, 138_357_544)
    floats = 224 * 224 * 3 + table.total.activations
    assert floats == 15_237_608
    assert 4 * floats == 60_950_432
    assert round(4 * floats / 1e6, 2) == 60.95
    assert round(4 * floats / 2**20, 1) == 58.1
    # Stored apart, each ReLU writes its map once more, and so do the 1000 probabilities after fc8.
    relus = [row.name.removesuffix("_relu") for row in table if row.type == "relu"]
    assert floats + sum(table[name].activations for name in relus) + 1000 == 28_794_320


@pytest.mark.parametrize(
    ("variant", "millions"), [("A", 132.86), ("B", 133.05), ("C", 133.64), ("D", 138.36), ("E", 143.67)]
)
def test_table_2_of_vgg(variant, millions):
    """The VGG paper's table 2 (no lecture number recorded), to two digits more than it prints."""
    assert round(named(f"vgg:{variant}").total.params / 1e6, 2) == millions


# Szegedy et al. 2014, table 1, computed from its filter columns: weights and multiply-accumulates.
GOOGLENET = {
    "3a": (163_328, 128_049_152),
    "3b": (388_096, 304_267_264),
    "4a": (375_552, 73_608_192),
    "4b": (448_512, 87_908_352),
    "4c": (509_440, 99_850_240),
    "4d": (604_672, 118_515_712),
    "4e": (867_328, 169_996_288),
    "5a": (1_042_432, 51_079_168),
    "5b": (1_442_816, 70_697_984),
}


def test_table_of_googlenet():
    """The GoogLeNet table (no lecture number recorded): 1 + 2 + 9 x 2 + 1 = 22 weight layers, and its filters."""
    table = named("googlenet:paper")
    modules = {name: [row for row in table if row.name.startswith(f"inception_{name}/")] for name in GOOGLENET}
    assert {m: (sum(r.weights for r in rows), sum(r.macs for r in rows)) for m, rows in modules.items()} == GOOGLENET
    outside = [row.name for row in table if row.weights and "/" not in row.name]
    assert outside == ["conv1", "conv2_reduce", "conv2", "fc"]
    deep = [row.name for row in table if row.weights and row.name.endswith(("/reduce_3x3", "/3x3"))]
    assert len(outside) + len(deep) == 22
    assert (table["conv1"].weights, table["fc"].weights) == (9_408, 1_024_000)
    assert table["conv2_reduce"].weights + table["conv2"].weights == 114_688
