"""The Python interface of the contract."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import cnn_jax
from cnn_jax.errors import DataError
from tests.toy import toy_config, toy_dataset


def test_the_names_of_the_contract_are_there():
    for name in ("create", "load", "load_config", "show", "train"):
        assert callable(getattr(cnn_jax, name))
        assert name in dir(cnn_jax)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = cnn_jax.trian


@pytest.mark.parametrize("first", ["cnn_jax.train.loop", "cnn_jax.evaluate", "cnn_jax.errors"])
def test_train_can_be_called_whatever_was_imported_before(first):
    code = f"import {first}, cnn_jax; assert callable(cnn_jax.train), cnn_jax.train; assert callable(cnn_jax.load)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_in_python(tmp_path):
    dataset = toy_dataset()
    final = cnn_jax.train(toy_config(), tmp_path / "run", dataset=dataset, progress=False)
    run = cnn_jax.load(tmp_path / "run", step="best")
    assert run.step == final["best_step"]
    assert run.config.model.name == "mlp:8"
    assert set(run.history["split"]) == {"train", "validation", "test"}
    images = np.asarray(dataset.splits["test"].image)
    probabilities = run.predict(images)
    assert probabilities.shape == (47, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    accuracy = np.mean(probabilities.argmax(1) == dataset.splits["test"].label)
    assert accuracy == pytest.approx(final["test"]["accuracy"])
    np.testing.assert_allclose(run.predict(images[0]), probabilities[0], atol=1e-6)
    with pytest.raises(DataError, match="this network takes"):
        run.predict(images.astype(np.float32))
