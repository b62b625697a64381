"""The deconvnet against a transposed network in plain loops; boxes against the support of gradients."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.inspect.deconvnet import cut, reconstruct, strongest_of, top_activations
from cnn_jax.inspect.network import features, tap_shapes
from cnn_jax.inspect.window import Window
from tests.inspect.networks import images, kernels, network
from tests.once import ONCE

SHAPE = (16, 16, 3)
ALEXNET = "alexnet:small,width=0.25,norm=none,feature_group_count=1,head_features=(8,8)"


def convolve(x, kernel, bias, strides, padding):
    """Cross-correlation of [H, W, C], one output pixel after the other."""
    k = kernel.shape[0]
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    out = (x.shape[0] - k) // strides + 1
    y = np.zeros((out, out, kernel.shape[-1]))
    for i in range(out):
        for j in range(out):
            window = x[i * strides : i * strides + k, j * strides : j * strides + k]
            y[i, j] = np.einsum("hwc,hwcf->f", window, kernel) + bias
    return y


def transposed(g, kernel, strides, padding, size):
    """Each value of g paints its filter onto the image."""
    k = kernel.shape[0]
    x = np.zeros((size + 2 * padding + k, size + 2 * padding + k, kernel.shape[2]))
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            x[i * strides : i * strides + k, j * strides : j * strides + k] += kernel @ g[i, j]
    return x[padding : padding + size, padding : padding + size]


def pool(x):
    """3x3 maxima at stride 2, rounded up, and where in the image each was."""
    out = -(-(x.shape[0] - 3) // 2) + 1
    y, switches = np.zeros((out, out, x.shape[-1])), np.zeros((out, out, x.shape[-1], 2), int)
    for i in range(out):
        for j in range(out):
            window = x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            for c in range(x.shape[-1]):
                at = np.unravel_index(window[..., c].argmax(), window.shape[:2])
                y[i, j, c] = window[(*at, c)]
                switches[i, j, c] = 2 * i + at[0], 2 * j + at[1]
    return y, switches


def unpool(g, switches, size):
    x = np.zeros((size, size, g.shape[-1]))
    for i, j, c in np.ndindex(g.shape):
        x[(*switches[i, j, c], c)] += g[i, j, c]
    return x


def by_hand(net, x, channel, place):
    """conv1, pool1, conv2, pool2, conv3 up, and the deconvnet of figure 1 down from one unit of conv3."""
    (k1, b1), (k2, b2), (k3, b3) = (kernels(net, f"conv{i}") for i in (1, 2, 3))
    a1 = np.maximum(convolve(x, k1, b1, 2, 2), 0)
    p1, s1 = pool(a1)
    a2 = np.maximum(convolve(p1, k2, b2, 1, 2), 0)
    p2, s2 = pool(a2)
    a3 = np.maximum(convolve(p2, k3, b3, 1, 1), 0)
    one = np.zeros_like(a3)
    one[(*place, channel)] = a3[(*place, channel)]
    down = transposed(np.maximum(one, 0), k3, 1, 1, p2.shape[0])
    down = unpool(down, s2, a2.shape[0])
    down = transposed(np.maximum(down, 0), k2, 1, 2, p1.shape[0])
    down = unpool(down, s1, a1.shape[0])
    return transposed(np.maximum(down, 0), k1, 2, 2, x.shape[0])


def test_reconstruction_is_that_of_the_transposed_network():
    net, x = network(ALEXNET, SHAPE), images(3, SHAPE)
    values = features(net, x, "conv3")
    channel, place = strongest_of(net, x, "conv3")
    assert (values.max(axis=(1, 2, 3)) > 0).all()
    made = reconstruct(net, x, "conv3", channel, place)
    for i in range(3):
        expected = by_hand(net, x[i].astype(float), channel[i], tuple(place[i]))
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(made[i], expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_a_unit_that_does_not_fire_has_no_reconstruction():
    net, x = network(ALEXNET, SHAPE), images(1, SHAPE)
    values = features(net, x, "conv3")[0]
    y, x_, c = np.argwhere(values == 0)[0]
    assert not reconstruct(net, x, "conv3", [c], [(y, x_)]).any()


def test_top_activations_are_the_largest_of_each_image():
    net, x = network(ALEXNET, SHAPE), images(150, SHAPE)  # more than a batch
    found = top_activations(net, x, "conv3", 9)
    values = features(net, x, "conv3").astype(np.float64)
    for channel in range(values.shape[-1]):
        peaks = values[..., channel].max(axis=(1, 2))
        np.testing.assert_allclose(found.value[channel], np.sort(peaks)[::-1][:9], rtol=1e-6)
        for value, image, place in zip(*(part[channel] for part in found), strict=True):
            np.testing.assert_allclose(values[(image, *place, channel)], value, rtol=1e-6)
    assert found.image.shape == (values.shape[-1], 9)
    assert all(len(set(row)) == 9 for row in found.image)


def test_top_activations_of_a_hidden_layer():
    net, x = network(ALEXNET, SHAPE), images(12, SHAPE)
    found = top_activations(net, x, "fc6", 3)
    np.testing.assert_allclose(found.value, -np.sort(-features(net, x, "fc6").T, axis=1)[:, :3], rtol=1e-5, atol=1e-7)
    assert not found.place.any()
    assert reconstruct(net, x[found.image[0]], "fc6", [0] * 3, found.place[0]).shape == (3, *SHAPE)


SMOOTH = "pooling=avg,activation=tanh"  # every pixel a unit may see has a gradient


@pytest.mark.parametrize(
    ("name", "tap"),
    [
        ("lenet:small", "pool2"),
        (f"alexnet:small,width=0.25,{SMOOTH}", "pool2"),
        (f"zfnet:small,width=0.25,{SMOOTH}", "pool2"),
        (f"vgg:small,width=0.25,{SMOOTH}", "conv3_2"),
        (f"nin:cifar10,width=0.1,{SMOOTH}", "pool1"),
        (f"resnet:small,width=0.5,depth=8,{SMOOTH}", "conv2_x"),
    ],
)
def test_boxes_are_the_support_of_the_gradient(name, tap):
    shape = (32, 32, 3)
    net, x = network(name, shape), images(2, shape)
    window, (height, width, _) = Window(net, shape), tap_shapes(net, shape)[tap]

    @functools.partial(jax.jit, compiler_options=ONCE)
    def gradient(variables, x, y, x_):
        def unit(x):
            values = net.apply(variables, x)[1][tap]
            return jax.lax.dynamic_slice(values, (0, y, x_, 0), (x.shape[0], 1, 1, values.shape[-1])).sum()

        return jax.grad(unit)(x)

    for place in ((0, 0), (height // 2, width // 2), (height - 1, width // 3)):
        reached = np.abs(np.asarray(gradient(net.variables, jnp.asarray(x), *place))).sum(axis=(0, 3)) > 0
        (top, bottom), (left, right) = window.box(tap, place)
        expected = np.zeros(shape[:2], bool)
        expected[top : bottom + 1, left : right + 1] = True
        np.testing.assert_array_equal(reached, expected)


def test_reconstructions_of_the_top_nine_fill_their_boxes_and_nothing_else():
    net, x = network(ALEXNET, (32, 32, 3)), images(40, (32, 32, 3))
    found, window = top_activations(net, x, "pool2", 9), Window(net, (32, 32, 3))
    seen = 0
    for channel in range(0, len(found.value), 5):
        made = reconstruct(net, x[found.image[channel]], "pool2", [channel] * 9, found.place[channel])
        for image, place in zip(made, found.place[channel], strict=True):
            (top, bottom), (left, right) = window.box("pool2", place)
            outside = image.copy()
            outside[top : bottom + 1, left : right + 1] = 0
            assert not outside.any()
            seen += bool(image.any())
    assert seen > 20


def test_patches_stand_at_their_place_in_the_field():
    pictures = np.arange(2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8, 1) + 1
    boxes, full = [((0, 2), (3, 7)), ((2, 6), (0, 4))], [((-2, 2), (3, 7)), ((2, 6), (0, 4))]
    patches = cut(pictures, boxes, full, -1)
    assert patches.shape == (2, 5, 5, 1)
    np.testing.assert_array_equal(patches[0, 2:], pictures[0, 0:3, 3:8])
    assert (patches[0, :2] == -1).all()
    np.testing.assert_array_equal(patches[1], pictures[1, 2:7, 0:5])
    whole = cut(pictures, [((0, 7), (0, 5))] * 2, [((-9, 20), (-30, 5))] * 2, -1)
    np.testing.assert_array_equal(whole[:, :, :6], pictures[:, :, :6])
    assert (whole[:, :, 6:] == -1).all()


def test_hidden_layers_see_the_whole_image():
    net = network("lenet:1998", (32, 32, 1))
    window = Window(net, (32, 32, 1))
    assert window.box("C5", ()) == window.box("F6", ()) == ((0, 31), (0, 31))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet:small,width=0.25", "resnet:small,depth=8", "vgg:small,width=0.25"])
def test_any_network_is_projected(name):
    shape = (32, 32, 3)
    net, x = network(name, shape), images(2, shape)
    tap = next(tap for tap, size in reversed(tap_shapes(net, shape).items()) if len(size) == 3 and size[0] > 1)
    made = reconstruct(net, x, tap, *strongest_of(net, x, tap))
    assert made.shape == x.shape
    assert made.any()


def test_unknown_taps_are_listed():
    with pytest.raises(ConfigError, match=r"E-CONF-232: --tap=conv9 is no tap .*pool1, pool2, conv3.*fc7"):
        top_activations(network(ALEXNET, SHAPE), images(1, SHAPE), "conv9")
