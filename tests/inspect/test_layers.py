"""Methods that look at layers: filters, activations, responses, dead units, effective fields."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as fnn

from cnn_jax import nn
from cnn_jax.errors import ConfigError
from cnn_jax.inspect.activations import activations, strongest
from cnn_jax.inspect.calls import layer_calls
from cnn_jax.inspect.dead import firing
from cnn_jax.inspect.effective_field import THRESHOLD, area, effective_field, fit_gaussian
from cnn_jax.inspect.filters import first_filters, low, root_mean_squares
from cnn_jax.inspect.network import Network, find_tap, tap_shapes
from cnn_jax.inspect.responses import responses
from tests.inspect.networks import apply, given, images, network

SHAPE = (16, 16, 3)
ALEXNET = "alexnet:small,width=0.25,head_features=(9,7)"


def with_bias(net: Network, layer: str, bias: Any) -> Network:
    params = dict(net.variables["params"])
    params[layer] = {**params[layer], "bias": np.asarray(bias, np.float32)}
    return Network(net.model, {**net.variables, "params": params})


def test_filters_are_the_kernels_of_the_first_layer():
    net = network(ALEXNET, SHAPE)
    name, filters = first_filters((net.model, net.variables), SHAPE)
    kernel = np.asarray(net.variables["params"]["conv1"]["kernel"])
    assert name == "conv1"
    assert filters.shape == (kernel.shape[3], 5, 5, 3)
    for i, image in enumerate(filters):
        np.testing.assert_array_equal(image, kernel[..., i])


@pytest.mark.parametrize(
    ("name", "shape", "layer", "size"),
    [
        ("mlp:7", (6, 5, 1), "fc1", (7, 6, 5, 1)),
        ("linear", (6, 5, 3), None, (10, 6, 5, 3)),
        ("lenet:1998", (32, 32, 1), "C1", (6, 5, 5, 1)),
        ("lenet:1989", (16, 16, 1), "H1", (12, 5, 5, 1)),
        ("resnet:small,depth=8", (32, 32, 3), "conv1", (16, 3, 3, 3)),
        ("xception:small,width=0.25", (32, 32, 3), None, None),
    ],
)
def test_first_layers_of_other_families(name, shape, layer, size):
    found, filters = first_filters(network(name, shape), shape)
    assert layer in (None, found)
    assert size in (None, filters.shape)
    assert filters.shape[-1] == shape[-1]


def test_a_template_responds_as_its_unit_does():
    net, x = network("linear", (6, 5, 3)), images(2, (6, 5, 3))
    _, filters = first_filters(net, (6, 5, 3))
    (layer,) = net.variables["params"].values()
    expected = np.einsum("nhwc,fhwc->nf", x, filters) + np.asarray(layer["bias"])
    np.testing.assert_allclose(apply(net, x)[0], expected, rtol=1e-4, atol=1e-5)


def test_low_filters():
    filters = np.ones((5, 2, 2, 1)) * np.array([1, 2, 3, 0.1, 0.21]).reshape(5, 1, 1, 1)
    np.testing.assert_allclose(root_mean_squares(filters), [1, 2, 3, 0.1, 0.21])
    assert low(root_mean_squares(filters)).tolist() == [False] * 5
    assert low(root_mean_squares(filters * [[[[1]]], [[[1]]], [[[1]]], [[[0.5]]], [[[0.1]]]])).tolist() == [
        *[False] * 3,
        True,
        True,
    ]


def test_activations_are_the_taps():
    net, x = network(ALEXNET, SHAPE), images(5, SHAPE)
    _, taps = apply(net, x)
    for tap in ("pool1", "fc7"):
        np.testing.assert_allclose(activations(net, x, tap), taps[tap], rtol=1e-5, atol=1e-6)
    values = np.zeros((2, 3, 3, 4))
    values[0, 1, 1] = [1, 5, 2, 0]
    values[1, 2, 0] = [1, 0, 4, 0]
    assert strongest(values, 3).tolist() == [2, 1, 0]


def test_taps_come_in_the_order_of_the_model():
    net = network("vgg:small,width=0.25", (32, 32, 3))
    taps = list(tap_shapes(net, (32, 32, 3)))
    assert taps[:3] == ["conv1_1", "pool1", "conv2_1"]
    assert taps[-1] == "fc7"
    assert find_tap(net, (32, 32, 3), None) == "fc7"
    assert find_tap(net, (32, 32, 3), None, maps=True) == "conv4_2"  # 4x4, pool4 is 2x2
    assert find_tap(network("lenet:small,features=(3,4)", (16, 16, 3)), (16, 16, 3), None, maps=True) == "pool1"
    inception = network("googlenet:small,width=0.25", (32, 32, 3))
    assert not [tap for tap in tap_shapes(inception, (32, 32, 3)) if "aux" in tap]


def test_responses_are_those_after_the_norm():
    """Against Flax's own record of what modules gave, over more images than a batch."""
    net, x = network("resnet:small,depth=8,width=0.5", SHAPE), images(140, SHAPE)
    found = {row.layer: row for row in responses(net, x)}
    record = given(net, x)
    for layer, norm in (
        ("conv1", "conv1_bn"),
        ("conv2_1/conv1", "conv2_1/conv1_bn"),
        ("conv3_1/conv2", "conv3_1/conv2_bn"),
        ("fc", "fc"),
    ):
        expected = [record[norm].mean(), record[norm].std()]
        np.testing.assert_allclose([found[layer].mean, found[layer].std], expected, rtol=2e-4, atol=1e-4)
    weighted = [path for path in _paths(net.variables["params"]) if path[-1] == "kernel"]
    assert sorted(found) == sorted("/".join(path[:-1]) for path in weighted)


def test_responses_without_a_norm():
    net, x = network(ALEXNET, SHAPE), images(3, SHAPE)
    value = given(net, x)["conv2"]
    found = {row.layer: row for row in responses(net, x)}
    np.testing.assert_allclose(found["conv2"].std, value.std(), rtol=1e-4)
    assert list(found) == [*(f"conv{i}" for i in range(1, 6)), "fc6", "fc7", "fc8"]


def test_dead_filters_are_those_that_were_killed():
    net, x = network(ALEXNET, SHAPE), images(150, SHAPE)
    bias = np.zeros(12)
    bias[[2, 7]] = -1e6
    layers = {layer.layer: layer for layer in firing(with_bias(net, "conv1", bias), x)}
    assert np.flatnonzero(layers["conv1_relu"].share == 0).tolist() == [2, 7]
    assert list(layers) == [*(f"conv{i}_relu" for i in range(1, 6)), "fc6_relu", "fc7_relu"]


def test_firing_is_a_share_of_places_and_images():
    net, x = network(ALEXNET, SHAPE), images(150, SHAPE)
    expected = (given(net, x)["conv3_relu"] > 0).mean(axis=(0, 1, 2))
    found = {layer.layer: layer for layer in firing(net, x)}
    np.testing.assert_allclose(found["conv3_relu"].share, expected, atol=1e-3)


@pytest.mark.parametrize(("activation", "weight"), [("tanh", 40.0), ("sigmoid", 40.0), ("scaled_tanh", 40.0)])
def test_saturated_units_are_dead(activation, weight):
    net, x = network(f"mlp:7,activation={activation}", (6, 5, 1)), images(20, (6, 5, 1))
    (layer,) = firing(with_bias(net, "fc1", [0, 0, weight, 0, -weight, 0, 0]), x)
    assert np.flatnonzero(layer.share == 0).tolist() == [2, 4]
    assert layer.kind == activation


def test_calls_of_a_shared_layer_are_told_apart():
    class Twice(fnn.Module):
        @fnn.compact
        def __call__(self, x, *, train=False):
            layer = nn.Dense(3, name="again")
            return layer(layer(x)), {}

    model = Twice()
    x = images(2, (3,))
    variables = {"params": {"again": {"kernel": np.eye(3, dtype=np.float32) * 2, "bias": np.ones(3, np.float32)}}}
    calls = layer_calls(Network(model, variables), variables, jnp.asarray(x))
    assert [call.name for call in calls] == ["again", "again#2"]
    np.testing.assert_array_equal(calls[1].taken, calls[0].given)


def test_effective_field_by_finite_differences():
    """Of a linear network the gradient is what one pixel changes."""
    shape = (10, 10, 1)
    net = network("lenet:small,activation=identity,kernel_size=3", shape)
    x = images(3, shape)
    size = tap_shapes(net, shape)["pool1"]
    middle = size[0] // 2, size[1] // 2

    def unit(x):
        return apply(net, x)[1]["pool1"].astype(np.float64)[:, middle[0], middle[1]].sum(-1)

    pixels = np.eye(100, dtype=np.float32).reshape(100, *shape)
    expected = np.abs(unit(pixels) - unit(np.zeros_like(pixels))).reshape(10, 10)
    np.testing.assert_allclose(effective_field(net, x, "pool1"), expected, rtol=1e-3, atol=1e-5)
    assert 0 < area(expected) <= 16  # 3x3 convolution and 2x2 pooling see 4x4


def test_a_gaussian_is_found_again():
    y, x = np.mgrid[:31, :41].astype(float)
    field = 7 * np.exp(-((y - 12.5) ** 2) / (2 * 3.0**2) - (x - 22) ** 2 / (2 * 5.0**2))
    fit = fit_gaussian(field)
    np.testing.assert_allclose(fit[:5], (7, 12.5, 22, 3, 5), rtol=1e-4)
    assert fit.r2 == pytest.approx(1)
    # What is above 4.55% of the top is an ellipse, of area 2 pi sigma_y sigma_x ln(1 / 0.0455).
    assert area(field) == pytest.approx(2 * np.pi * 15 * -np.log(THRESHOLD), rel=0.03)
    noise = np.random.default_rng(0).random((31, 41))
    assert fit_gaussian(noise).r2 < 0.5
    assert fit_gaussian(np.zeros((4, 4))).r2 == area(np.zeros((4, 4))) == 0


def test_fields_need_maps():
    with pytest.raises(ConfigError, match="E-CONF-232: --tap=fc6 has no feature maps"):
        effective_field(network(ALEXNET, SHAPE), images(1, SHAPE), "fc6")


def _paths(tree, at=()):
    for name, value in tree.items():
        if hasattr(value, "items"):
            yield from _paths(value, (*at, name))
        else:
            yield (*at, name)
