"""Gradients of class scores and Grad-CAM against formulas in NumPy and against their papers' axioms."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.inspect.gradcam import gradcam
from cnn_jax.inspect.network import features
from cnn_jax.inspect.saliency import gradient, guided, integrated, smooth
from cnn_jax.inspect.tail import logits_behind
from tests.inspect.networks import apply, images, kernels, network

SHAPE = (16, 16, 3)
LABELS = np.array([1, 0, 2, 1])
MLP = "mlp:7,num_classes=3,activation=relu"
ALEXNET = "alexnet:small,width=0.25,head_features=(9,7),num_classes=3"
LENET = "lenet:small,features=(3,4),head=gap,num_classes=3,activation=relu,pooling=max"


def layers_of_mlp():
    net = network(MLP, SHAPE)
    names = sorted(net.variables["params"])
    return net, [kernels(net, name) for name in names]


def by_hand(x, rule):
    """The gradient through one hidden layer, with a rule at its ReLU."""
    _, ((k1, b1), (k2, _)) = layers_of_mlp()
    hidden = x.reshape(len(x), -1).astype(float) @ k1 + b1
    g = k2.T[LABELS]
    masks = {"gradient": hidden > 0, "guided": (hidden > 0) & (g > 0), "deconvnet": g > 0}
    return ((g * masks[rule]) @ k1.T).reshape(x.shape)


@pytest.mark.parametrize(("function", "rule"), [(gradient, "gradient"), (guided, "guided")])
def test_gradients_by_formula(function, rule):
    x = images(4, SHAPE)
    found = function(layers_of_mlp()[0], x, LABELS)
    np.testing.assert_allclose(found, by_hand(x, rule), rtol=1e-4, atol=1e-6)
    assert np.abs(by_hand(x, "gradient") - by_hand(x, "guided")).max() > 1e-3


def test_integrated_gradients_of_a_linear_network_are_exact():
    net, x = network("linear,num_classes=3", SHAPE), images(4, SHAPE)
    ((kernel, _),) = [kernels(net, name) for name in net.variables["params"]]
    base = images(1, SHAPE, seed=5)[0]
    made, missing = integrated(net, x, LABELS, baseline=base, steps=3)
    weights = kernel.T[LABELS].reshape(x.shape)
    np.testing.assert_allclose(made, (x - base) * weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(missing, 0, atol=1e-4)


def test_integrated_gradients_are_complete():
    """Sundararajan et al. 2017, proposition 1: attributions sum to the difference of the scores."""
    net, x = network(LENET, SHAPE), 2 * images(4, SHAPE)
    coarse, fine = (integrated(net, x, LABELS, steps=steps) for steps in (4, 300))
    scores = apply(net, x)[0][np.arange(4), LABELS]
    black = apply(net, np.zeros((1, *SHAPE), np.float32))[0][0, LABELS]
    assert np.abs(scores - black).min() > 0.01
    np.testing.assert_allclose(fine[0].sum((1, 2, 3)), scores - black, rtol=0.02, atol=2e-3)
    np.testing.assert_allclose(fine[1], fine[0].sum((1, 2, 3)) - (scores - black), atol=1e-5)
    assert np.abs(fine[1]).max() < np.abs(coarse[1]).max()


def test_what_is_like_the_baseline_is_worth_nothing():
    x = images(4, SHAPE)
    base = np.zeros(SHAPE, np.float32)
    x[:, 3] = 0
    assert not integrated(network(LENET, SHAPE), x, LABELS, baseline=base, steps=8)[0][:, 3].any()


def test_smoothgrad_without_noise_is_the_gradient():
    net, x, key = network(LENET, SHAPE), images(4, SHAPE), jax.random.key(1)
    still = smooth(net, x, LABELS, key=key, noise=0.0, samples=2)
    np.testing.assert_allclose(still, gradient(net, x, LABELS), rtol=1e-4, atol=1e-6)
    noisy = smooth(net, x, LABELS, key=key, samples=2)
    assert np.abs(noisy - still).max() > 1e-3
    np.testing.assert_array_equal(noisy, smooth(net, x, LABELS, key=key, samples=2))


def test_uint8_images_are_standardised():
    net = network(MLP, SHAPE)
    run = type(net)(net.model, net.variables, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.uint8)
    x = (pixels / 255.0 - np.array([0.4, 0.5, 0.6])) / np.array([0.2, 0.25, 0.3])
    np.testing.assert_allclose(run.inputs(pixels), x, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(run.pixels(run.inputs(pixels)), pixels)
    np.testing.assert_allclose(gradient(run, pixels, LABELS), gradient(net, x.astype(np.float32), LABELS), rtol=1e-5)


def head_by_hand(net, pool5):
    """Logits and their gradient in pool5, [N, h, w, C], from the three fully connected layers."""
    (k6, b6), (k7, b7), (k8, b8) = (kernels(net, f"fc{i}") for i in (6, 7, 8))
    h6 = pool5.reshape(len(pool5), -1).astype(float) @ k6 + b6
    h7 = np.maximum(h6, 0) @ k7 + b7
    logits = np.maximum(h7, 0) @ k8 + b8
    g = ((k8.T[LABELS] * (h7 > 0)) @ k7.T * (h6 > 0)) @ k6.T
    return logits, g.reshape(pool5.shape)


def test_gradcam_by_formula():
    net, x = network(ALEXNET, (32, 32, 3)), images(4, (32, 32, 3))
    maps = features(net, x, "pool5").astype(float)
    _, g = head_by_hand(net, maps)
    expected = np.zeros(maps.shape[:3])
    for n in range(4):
        for k in range(maps.shape[-1]):
            expected[n] += g[n, :, :, k].sum() / (maps.shape[1] * maps.shape[2]) * maps[n, :, :, k]
    expected = np.maximum(expected, 0)
    assert expected.max() > 0
    np.testing.assert_allclose(gradcam(net, x, LABELS, "pool5"), expected, rtol=1e-3, atol=1e-6)


def test_gradcam_before_averaging_is_the_map_of_the_class():
    """CAM as a special case (Selvaraju et al. 2017, section 3.1): the logit is the mean of a map, its weight 1/Z."""
    net, x = network("nin:cifar10,width=0.1,num_classes=3,dropout=0.0", (32, 32, 3)), images(4, (32, 32, 3))
    maps = features(net, x, "cccp6")
    chosen = np.take_along_axis(maps, LABELS.reshape(4, 1, 1, 1), axis=-1)[..., 0]
    found = gradcam(net, x, LABELS, "cccp6")
    np.testing.assert_allclose(found, chosen / (maps.shape[1] * maps.shape[2]), rtol=1e-4, atol=1e-7)


def test_the_part_behind_a_tap():
    net, x = network(ALEXNET, (32, 32, 3)), images(4, (32, 32, 3))
    behind = jax.jit(functools.partial(logits_behind, net), static_argnums=0)
    logits, taps = apply(net, x)
    for tap in ("pool1", "fc7"):
        np.testing.assert_allclose(behind(tap, net.variables, x, taps[tap]), logits, rtol=1e-4, atol=1e-5)
    other = images(4, taps["pool5"].shape[1:], seed=3)
    found = behind("pool5", net.variables, x, other)
    np.testing.assert_allclose(found, head_by_hand(net, other)[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet:small,depth=8", "lenet:small"])
def test_gradcam_of_any_tap_under_the_rules_of_ops(name):
    net, x = network(name, (32, 32, 3)), images(2, (32, 32, 3))
    for tap, size in (("conv2_x", 32), ("conv4_x", 8)) if "resnet" in name else (("pool1", 14), ("pool2", 5)):
        found = gradcam(net, x, [1, 2], tap)
        assert found.shape == (2, size, size)
        assert (found >= 0).all()


def test_gradcam_needs_feature_maps():
    net, x = network(ALEXNET, (32, 32, 3)), images(1, (32, 32, 3))
    with pytest.raises(ConfigError, match=r"E-CONF-232: --tap=fc6 has no feature maps: use one of pool1, .*pool5"):
        gradcam(net, x, [0], "fc6")
    with pytest.raises(ConfigError, match="E-CONF-233: MLP has no tap of feature maps"):
        gradcam(network(MLP, SHAPE), images(1, SHAPE), [0], "fc1")
