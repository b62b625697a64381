"""The named stages: which layer each is the output of."""

from __future__ import annotations

import json

import flax.linen as nn
import jax
import pytest

from cnn_jax import analysis, models
from cnn_jax.errors import GeometryError

STAGES = {
    # name: {tap: (output, jump, receptive field, layer)}; figures of the papers and of the reference codes
    "resnet:18": {
        "pool1": ((56, 56, 64), 4, 11, "pool1"),
        "conv2_x": ((56, 56, 64), 4, 43, "conv2_2/relu"),
        "conv3_x": ((28, 28, 128), 8, 99, "conv3_2/relu"),
        "conv4_x": ((14, 14, 256), 16, 211, "conv4_2/relu"),
        "conv5_x": ((7, 7, 512), 32, 435, "conv5_2/relu"),
        "pre_logits": ((512,), None, None, "gap"),
    },
    "lenet:1998": {
        "S2": ((14, 14, 6), 2, 6, "S2_squash"),
        "S4": ((5, 5, 16), 4, 16, "S4_squash"),
        "C5": ((120,), 4, 32, "C5_squash"),
        "F6": ((84,), None, None, "F6_squash"),
    },
    "linear:mnist": {},
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_have_shape_stride_field_and_layer(name):
    shown = analysis.taps_named(name)
    found = {tap["name"]: tap for tap in shown.to_dict()["taps"]}
    assert list(found) == list(STAGES[name])  # in the order of the layers
    for tap, (output, jump, field, layer) in STAGES[name].items():
        assert tuple(found[tap]["output"]) == output
        assert (found[tap]["jump"], found[tap]["receptive_field"]) == (jump, field)
        assert found[tap]["layer"] == layer
    assert json.loads(json.dumps(shown.to_dict()))["model"] == name
    assert all(tap in str(shown) for tap in found)


@pytest.mark.parametrize("name", ["vgg:A", "googlenet:small", "zfnet:small", "preact_cifar:11"])
def test_stages_are_those_the_model_returns(name):
    model, size = models.create(name), analysis.taps_named(name).input
    image = jax.ShapeDtypeStruct((1, *size), "float32")
    _, taps = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x)[0], image)
    assert {tap.name: tap.output for tap in analysis.taps_named(name)} == {n: t.shape[1:] for n, t in taps.items()}


def test_a_sum_outside_of_any_module_is_a_stage_too():
    found = {tap.name: tap for tap in analysis.taps_named("xception:small")}
    assert found["middle"].layer == "add_4"


def test_a_model_without_stages_says_so():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(x), {}

    assert "no named stage" in str(analysis.taps(Net(), (4,)))


@pytest.mark.parametrize("shown", [analysis.show_named, analysis.taps_named, analysis.provenance])
def test_a_size_that_does_not_suit_names_the_papers(shown):
    with pytest.raises(GeometryError, match=r"layer pool5: .*its paper's is 224,224,3"):
        shown("vgg:A", (16, 16, 3))
    with pytest.raises(GeometryError, match="H,W,C, such as its paper's 224,224,3"):
        shown("vgg:A", (224, 224))
