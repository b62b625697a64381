"""Names, shapes and layouts against lists that the other libraries printed themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

import cnn_jax
from cnn_jax.analysis.summary import default_input
from cnn_jax.errors import ConfigError, DataError
from cnn_jax.weights import SOURCES, export_weights, import_weights
from cnn_jax.weights.naming import places

NAMES = json.loads((Path(__file__).parent / "names.json").read_text())["names"]
CASES = [(source, name) for source, networks in NAMES.items() for name in networks]
SMALL = "resnet:18,width=0.0625,num_classes=5"


def shapes_of(name: str) -> dict[tuple[str, ...], tuple[int, ...]]:
    model, image = cnn_jax.create(name), jax.ShapeDtypeStruct((1, *default_input(name)), jnp.float32)
    tree = jax.eval_shape(lambda x: model.init({"params": jax.random.key(0), "dropout": jax.random.key(0)}, x), image)
    flat: dict[tuple[str, ...], Any] = dict(traverse_util.flatten_dict(tree))
    return {path: leaf.shape for path, leaf in flat.items()}


def random_variables(name: str) -> dict:
    rng = np.random.default_rng(0)
    values = {path: rng.normal(size=shape).astype(np.float32) for path, shape in shapes_of(name).items()}
    return traverse_util.unflatten_dict(values)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize(("source", "name"), CASES, ids=[f"{source} {name}" for source, name in CASES])
def test_every_tensor_of_the_library_has_its_place(source, name):
    theirs = {key: tuple(map(int, shape.split("x"))) for key, shape in NAMES[source][name].items()}
    where = places(SOURCES[source], source, cnn_jax.create(name), shapes_of(name))
    ours = {place.name: place.layout.shape for place in where.values()}
    folded = {place.less for place in where.values() if place.less}
    assert len(ours) == len(where), "two arrays have one name"
    assert ours.keys() | folded == theirs.keys()
    assert ours == {key: theirs[key] for key in ours}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("torchvision", "alexnet:torchvision,width=0.0625,num_classes=5"),
        ("torchvision", "vgg:A-BN,width=0.03125,head_features=(256,256),num_classes=5"),
        ("torchvision", "googlenet:torchvision,width=0.125,aux_heads=true,num_classes=5"),
        ("torchvision", SMALL),
        ("timm", "vgg:B,width=0.03125,head_features=(256,256),num_classes=5"),
        ("timm", "xception,pool_padding=1,epsilon=1e-5,width=0.03125,num_classes=5"),
        ("keras", "xception,width=0.03125,num_classes=5"),
        ("keras", "resnet:50-v1,width=0.0625,num_classes=5"),
        ("cnn_jax", "lenet:1998"),
    ],
)
def test_out_and_in_again_is_exact(source, name):
    variables = random_variables(name)
    assert_same(import_weights(name, export_weights(name, variables, source), source), variables)


def test_layouts():
    """A kernel's [h, w, i, o] is Torch's [o, i, h, w]; behind a flattening, channels come first there, last here."""
    name = "vgg:A,width=0.03125,head_features=(256,256),num_classes=5"
    variables = random_variables(name)
    tensors = export_weights(name, variables, "torchvision")
    kernel = variables["params"]["conv3_2"]["kernel"]
    assert tensors["features.8.weight"][3, 1, 2, 0] == kernel[2, 0, 1, 3]
    dense, channels = variables["params"]["fc6"]["kernel"], 16
    h, w, c, unit = 4, 5, 11, 2
    assert tensors["classifier.0.weight"][unit, (c * 7 + h) * 7 + w] == dense[(h * 7 + w) * channels + c, unit]
    assert export_weights(name, variables, "timm")["pre_logits.fc1.weight"][unit, c, h, w] == dense[
        (h * 7 + w) * channels + c, unit
    ]  # fmt: skip
    assert tensors["classifier.3.weight"][1, 6] == variables["params"]["fc7"]["kernel"][6, 1]


def test_depthwise_kernels():
    name = "xception,width=0.03125,num_classes=5"
    variables = random_variables(name)
    kernel = variables["params"]["block3_sepconv1"]["depthwise"]["kernel"]
    assert (
        export_weights(name, variables, "keras")["block3_sepconv1/depthwise_kernel"][2, 0, 3, 0] == kernel[2, 0, 0, 3]
    )
    timm = "xception,pool_padding=1,epsilon=1e-5,width=0.03125,num_classes=5"
    assert export_weights(timm, variables, "timm")["block2.rep.1.conv1.weight"][3, 0, 2, 0] == kernel[2, 0, 0, 3]


def test_biases_under_keras_norms_fold_into_the_means():
    name = "resnet:50-v1,width=0.0625,num_classes=5"
    tensors = export_weights(name, random_variables(name), "keras")
    plain = import_weights(name, tensors, "keras")["batch_stats"]["conv3_1"]["conv2_bn"]["mean"]
    tensors["conv3_block1_2_conv/bias"] = np.arange(8, dtype=np.float32)
    folded = import_weights(name, tensors, "keras")["batch_stats"]["conv3_1"]["conv2_bn"]["mean"]
    np.testing.assert_allclose(folded, plain - np.arange(8), rtol=1e-6)


def test_keras_numbers_unnamed_layers_on():
    """A second network of a process has conv2d_4 to conv2d_7, and files of Keras 2 other separators."""
    name = "xception,width=0.03125,num_classes=5"
    variables = random_variables(name)

    def renamed(key: str) -> str:
        layer, leaf = key.split("/")
        for kind in ("conv2d", "batch_normalization"):
            if layer.startswith(kind):
                layer = f"{kind}_{int(layer.removeprefix(kind).strip('_') or 0) + 7}"
        return f"{layer}/{layer}/{leaf}:0"

    tensors = {renamed(key): tensor for key, tensor in export_weights(name, variables, "keras").items()}
    assert "conv2d_10/conv2d_10/kernel:0" in tensors
    assert_same(import_weights(name, tensors, "keras"), variables)


def test_auxiliary_heads_are_dropped_where_the_network_has_none():
    name = "googlenet:torchvision,width=0.125,num_classes=5"
    tensors = export_weights(name + ",aux_heads=true", random_variables(name + ",aux_heads=true"), "torchvision")
    assert not any("aux" in layer for layer in import_weights(name, tensors)["params"])


def test_fresh_layers_start_anew():
    variables = random_variables(SMALL)
    tensors = export_weights(SMALL, variables)
    other = import_weights(SMALL.replace("=5", "=3"), tensors, fresh=("fc",))
    assert other["params"]["fc"]["kernel"].shape == (32, 3)
    np.testing.assert_array_equal(other["params"]["fc"]["bias"], 0)
    np.testing.assert_array_equal(other["params"]["conv1"]["kernel"], variables["params"]["conv1"]["kernel"])


def test_a_mismatch_names_the_tensors():
    tensors = export_weights(SMALL, random_variables(SMALL))
    tensors["layer9.weight"] = tensors.pop("layer2.0.bn1.running_mean")
    with pytest.raises(DataError, match=r"1 missing \(layer2.0.bn1.running_mean\), 1 left over \(layer9.weight\)$"):
        import_weights(SMALL, tensors)
    tensors["layer2.0.bn1.running_mean"] = tensors.pop("layer9.weight")
    with pytest.raises(DataError, match=r"2 of another shape \(fc.bias \[5\], here \[7\]; .*num_classes"):
        import_weights(SMALL.replace("=5", "=7"), tensors)
    tensors["bn1.weight"][1] = np.nan
    with pytest.raises(DataError, match=r"bn1.weight hold.* not finite"):
        import_weights(SMALL, tensors)
    with pytest.raises(DataError, match=r"102 missing \(.*and 94 more\)"):
        import_weights(SMALL, {}, "cnn_jax")


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("resnet:50", "torchvison", "did you mean 'torchvision'"),
        ("xception", "torchvision", "has no Xception: it has AlexNet, GoogLeNet, ResNet, VGG"),
        ("resnet:50-v1", "torchvision", "strides_in_1x1 is True here and False there"),
        ("resnet:50", "keras", "strides_in_1x1 is False here and True there"),
        ("alexnet", "torchvision", "our alexnet:torchvision: .*feature_group_count is 2 here and 1 there"),
        ("vgg:A-LRN", "torchvision", "norm is 'lrn' here"),
        ("googlenet", "torchvision", "kernel_size_5x5 is 5 here and 3 there"),
        ("xception", "timm", "epsilon is 0.001 here and 1e-05 there"),
        ("resnet:small", "torchvision", "stem is 'cifar' here"),
    ],
)
def test_networks_that_compute_something_else_are_refused(name, source, words):
    with pytest.raises(ConfigError, match=words):
        import_weights(name, {}, source)


def test_a_module_needs_its_input():
    with pytest.raises(ConfigError, match="input_shape"):
        import_weights(cnn_jax.create(SMALL), {})
    with pytest.raises(ConfigError, match=r"fresh='fc8' is no layer.*did you mean 'fc'"):
        import_weights(SMALL, {}, fresh=("fc8",))
