"""Every network against the published or counted numbers of `tests/facts/models.json`; nothing is computed."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import models

FACTS = json.loads((Path(__file__).parents[1] / "facts" / "models.json").read_text())
SLOW = ("resnet_cifar:1202", "preact_cifar:1001")  # seconds of tracing each, for thousands of layers


def shapes(name, size):
    """(variables, logits, taps) of the model as shapes."""
    model = models.create(name)
    image = jax.ShapeDtypeStruct((1, *size), jnp.float32)
    keys = jax.eval_shape(lambda: jax.random.key(0))
    (logits, taps), variables = jax.eval_shape(model.init_with_output, keys, image)
    return variables, logits, taps


def size_of(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    "fact",
    [pytest.param(f, marks=pytest.mark.slow if f["name"] in SLOW else ()) for f in FACTS],
    ids=[f["name"] for f in FACTS],
)
def test_network_has_the_published_numbers(fact):
    variables, logits, taps = shapes(fact["name"], fact["input"])
    weights = [
        leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables["params"])
        if path[-1].key.startswith("kernel")
    ]
    assert size_of(variables["params"]) == fact["params"]
    if fact["weights"] is not None:
        assert size_of(weights) == fact["weights"]
        assert size_of(variables.get("batch_stats", {})) == fact["batch_stats"]
    assert {stage: list(taps[stage].shape[1:]) for stage in fact["taps"]} == fact["taps"]
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_no_network_lacks_a_fact():
    """The small forms are ours: only some of them are a network somebody published."""
    known = {fact["name"] for fact in FACTS}
    assert {e.name for e in models.catalogue() if e.variant != "small"} <= known


def test_every_fact_has_a_source_and_its_own_name():
    assert all(len(fact["source"]) > 10 for fact in FACTS)
    assert len({fact["name"] for fact in FACTS}) == len(FACTS)


def test_parameter_paths_are_the_papers_names():
    @functools.cache
    def paths(name, size):
        tree = shapes(name, size)[0]["params"]
        return {"/".join(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)}

    assert {"conv3_1/kernel", "conv5_3/bias", "fc8/kernel"} <= paths("vgg:D", (224, 224, 3))
    assert {"inception_4a/reduce_5x5/kernel", "inception_5b/pool_proj/kernel"} <= paths("googlenet", (224, 224, 3))
    assert {"conv2_1/shortcut/kernel", "conv5_3/conv2_bn/scale"} <= paths("resnet:50", (224, 224, 3))
    assert {"C3/kernel_3", "C3/kernel_4", "C3/kernel_6", "S2/coefficient"} <= paths("lenet:1998", (32, 32, 1))
    assert "block14_sepconv2/depthwise/kernel" in paths("xception", (299, 299, 3))
