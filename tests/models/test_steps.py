"""One training step of every variant: full-size as shapes, and of every structure a narrow one for real."""

from __future__ import annotations

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.ops import plain_ops
from tests.once import ONCE

# Their traces take seconds each.
DEEP = re.compile(r"resnet:(101|152).*|(resnet|plain)_cifar:(44|56|110|1202)|preact_cifar:.*")
NAMES = [entry.name for entry in models.catalogue()]
# A minute each, for more of the blocks that 110 and 164 layers have.
ENDLESS = ("resnet_cifar:1202", "preact_cifar:1001")
# Which variants have the structure of which narrow network, at the smallest size that is legal. Small forms take their
# step in test_small; the variants here that need none of their own differ from one in widths and depths alone.
NARROW = {
    r".*:small|linear:.*|mlp:.*|lenet:modern|alexnet:paper|vgg:[ABDE]|resnet_cifar:.*|xception:paper": None,
    r"alexnet:slides|zfnet:.*": None,  # as zfnet:small: the norm after the pool, no groups
    r"lenet:1989": ("lenet:1989", (16, 16, 1)),
    r"lenet:1998": ("lenet:1998", (32, 32, 1)),
    r"alexnet:torchvision": ("alexnet:torchvision,width=0.1,head_features=(500,500),features=(64,192)", (31, 31, 3)),
    r"nin:.*": ("nin:cifar10,width=0.05,features=(192,160,96,192,192),kernel_size=(5,3)", (8, 8, 3)),
    r"vgg:A-LRN": ("vgg:A-LRN,width=0.05,stage_sizes=(1,1),features=(64,128)", (8, 8, 3)),
    r"vgg:C|vgg:.-BN": ("vgg:C-BN,width=0.05,stage_sizes=(1,1,2),features=(64,128,256)", (8, 8, 3)),
    r"googlenet:paper": ("googlenet:paper,width=0.1,modules=(4a),aux_heads=true", (40, 40, 3)),
    r"googlenet:torchvision": ("googlenet:torchvision,width=0.1,modules=(3a),stem=small,kernel_size=3", (8, 8, 3)),
    r"resnet:(50|101|152)": ("resnet:50,width=0.05,stage_sizes=(1,1),bottleneck=true,features=(64,128)", (16, 16, 3)),
    r"resnet:.*-v1": ("resnet:50-v1,width=0.05,stage_sizes=(1,1),bottleneck=true,features=(64,128)", (16, 16, 3)),
    r"resnet:34-A": ("resnet:34-A,width=0.05,stage_sizes=(1,1),features=(64,128)", (16, 16, 3)),
    r"resnet:(18|34|34-C)": ("resnet:34-C,width=0.05,stage_sizes=(1,1),features=(64,128)", (16, 16, 3)),
    r"plain:.*|plain_cifar:.*": ("plain:18,width=0.05,stage_sizes=(1,1),features=(64,128)", (16, 16, 3)),
    r"preact_cifar:(164|1001)": ("preact_cifar:11,width=0.25,features=(16,32)", (8, 8, 3)),
    r"airbench:9[45].*": ("airbench:94-muon,width=0.1,features=(64,256)", (14, 14, 3)),
    r"airbench:96": ("airbench:96,width=0.1,features=(64,256)", (14, 14, 3)),
    r"preact_cifar:110": ("preact_cifar:8,width=0.25,features=(16,32)", (8, 8, 3)),
}


def test_every_variant_has_a_step():
    assert [name for name in NAMES if not any(re.fullmatch(pattern, name) for pattern in NARROW)] == []


def step(model, variables, image, label, key):
    """Loss and gradient of one batch, auxiliary heads included at the paper's 0.3."""

    def loss(params):
        (logits, taps), _ = model.apply(
            variables | {"params": params}, image, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        heads = [logits, *(0.3 * tap for name, tap in taps.items() if name.startswith("aux"))]
        return -sum(jnp.take_along_axis(jax.nn.log_softmax(h), label[:, None], axis=1).mean() for h in heads)

    return jax.value_and_grad(loss)(variables["params"])


def made(model, size):
    keys = {name: jax.random.key(0) for name in ("params", "dropout")}
    with plain_ops():  # whose gradients are traced in half the time
        return jax.eval_shape(lambda x: model.init(keys, x, train=True), jax.ShapeDtypeStruct((2, *size), "float32"))


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


@pytest.mark.parametrize("name", [name for name in NAMES if not DEEP.fullmatch(name)])
def test_full_size_step_has_a_gradient_for_every_parameter(name):
    model = models.create(name)
    size = next(entry.input for entry in models.catalogue() if entry.name == name)
    variables = made(model, size)
    image = jax.ShapeDtypeStruct((2, *size), "float32")
    label = jax.ShapeDtypeStruct((2,), "int32")
    with plain_ops():
        loss, gradient = jax.eval_shape(functools.partial(step, model), variables, image, label, jax.random.key(0))
    assert (loss.shape, loss.dtype) == ((), jnp.float32)
    assert shapes(gradient) == shapes(variables["params"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if DEEP.fullmatch(name) and name not in ENDLESS])
def test_deep_networks_take_a_batch_while_training(name):
    """Forwards only: the gradient of hundreds of equal blocks takes half a minute to trace."""
    entry = next(entry for entry in models.catalogue() if entry.name == name)
    model, variables = models.create(name), made(models.create(name), entry.input)
    image = jax.ShapeDtypeStruct((2, *entry.input), "float32")
    (logits, _), new = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]), variables, image
    )
    assert logits.shape == (2, entry.num_classes)
    assert shapes(new["batch_stats"]) == shapes(variables["batch_stats"])


def filled(path, leaf, rng):
    """He's spread, made here: compiling the initialisers would take longer than the step."""
    kind = path[-1].key
    if kind.startswith("kernel"):
        return rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape).astype(np.float32)
    if kind in ("scale", "var", "coefficient"):
        return np.ones(leaf.shape, np.float32)
    # Above zero, so that few of the narrow layers' units are dead at the start.
    return np.full(leaf.shape, 0.1, np.float32)


@pytest.mark.parametrize(("name", "size"), [*filter(None, NARROW.values())])
def test_narrow_step_moves_every_parameter(name, size):
    overrides = {} if name.startswith("lenet") else {"num_classes": 3}
    # Its random numbers would take as long to compile as the network; layers are tested with it elsewhere.
    overrides |= {"dropout": 0.0} if "dropout" in models.keywords(name) else {}
    model = models.create(name, **overrides)
    rng = np.random.default_rng(0)
    variables = jax.tree_util.tree_map_with_path(lambda p, leaf: filled(p, leaf, rng), made(model, size))
    image = rng.normal(size=(2, *size)).astype(np.float32)
    run = jax.jit(functools.partial(step, model), compiler_options=ONCE)
    loss, gradient = run(variables, image, np.array([0, 2]), jax.random.key(1))
    assert np.isfinite(loss)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path
