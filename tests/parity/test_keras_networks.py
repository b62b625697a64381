"""The same random weights give the logits of keras.applications."""

from __future__ import annotations

import os
from typing import Any

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.weights import read_tensors
from tests.parity.logits import assert_close, images, logits_of

os.environ["KERAS_BACKEND"] = "jax"
keras: Any = pytest.importorskip("keras", reason="Keras is not installed: make parity")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]


def built(network: str, shape: tuple[int, int, int]) -> Any:
    """The network with random weights; norms and biases away from 0 and 1, where swaps would hide."""
    make = getattr(keras.applications, network)
    model = make(weights=None, classes=10, input_shape=shape, classifier_activation=None)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        leaf = weight.path.split("/")[-1]
        if leaf in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape).astype(np.float32))
        elif leaf in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0, 0.2, weight.shape).astype(np.float32))
    return model


def tensors_of(model: Any) -> dict[str, np.ndarray]:
    return {weight.path: np.asarray(weight.numpy()) for weight in model.weights}


def test_xception(tmp_path):
    x = images(1, 150, 131, 3)  # odd and even sizes at the pools, whose padding depends on it
    with jax.numpy_rank_promotion("allow"):
        model = built("Xception", x.shape[1:])
        theirs = model.predict_on_batch(x)
    name, tensors = "xception,num_classes=10", tensors_of(model)
    variables = cnn_jax.import_weights(name, tensors, source="keras")
    assert_close(logits_of(name, variables, x), theirs)
    exported = cnn_jax.export_weights(name, variables, "keras")
    assert exported.keys() == tensors.keys()
    for key, tensor in tensors.items():
        np.testing.assert_array_equal(exported[key], tensor)
    for file in ("new.weights.h5", "old.h5"):
        model.save_weights(tmp_path / file) if file.startswith("new") else model.save(tmp_path / file)
        again = cnn_jax.import_weights(name, read_tensors(tmp_path / file), source="keras")
        jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_resnet50():
    """Its first 1x1 steps, as in the paper; its convolutions' biases fold into our running means."""
    x = images(1, 97, 64, 3)
    with jax.numpy_rank_promotion("allow"):
        model = built("ResNet50", x.shape[1:])
        theirs = model.predict_on_batch(x)
    name, tensors = "resnet:50-v1,num_classes=10", tensors_of(model)
    variables = cnn_jax.import_weights(name, tensors, source="keras")
    assert_close(logits_of(name, variables, x), theirs)
    exported = cnn_jax.export_weights(name, variables, "keras")
    assert exported.keys() == tensors.keys()
    again = cnn_jax.import_weights(name, exported, source="keras")
    jax.tree.map(np.testing.assert_array_equal, again, variables)
