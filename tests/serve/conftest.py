"""A run whose weights are random: nothing about serving needs it trained. One of its classes has a hostile name."""

from __future__ import annotations

import io

import jax
import numpy as np
import pytest
from PIL import Image

import cnn_jax
from cnn_jax.data import load_dataset
from cnn_jax.evaluate import examples
from cnn_jax.inspect.network import as_network
from cnn_jax.serve.searched import Searched
from cnn_jax.serve.viewer import Viewer
from tests.evaluate.workdirs import dataset, folder, workdir

MODEL = "lenet:modern,num_classes=4,features=(3,4),head_features=(12,9),kernel_size=3"
HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = (HOSTILE, "ant", "bee", "dog")


def png(image: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(held, "PNG")
    return held.getvalue()


def photograph(height: int = 31, width: int = 50, seed: int = 5) -> np.ndarray:
    """An image of another size than the network's, a bright square in it."""
    image = np.random.default_rng(seed).integers(0, 140, (height, width, 3), dtype=np.uint8)
    image[4:14, 18:30] += 100
    return image


@pytest.fixture(autouse=True, scope="package")
def lightly_compiled():
    """Programs of these tests run a few times: they are hardly optimised, and compile in a third of the time."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("images"), dataset(20, test=150, classes=CLASSES))


@pytest.fixture(scope="session")
def trained(tmp_path_factory, images):
    data = f"folder:{images}"
    return workdir(tmp_path_factory.mktemp("runs") / "lenet", MODEL, load_dataset(data), data=data)


@pytest.fixture(scope="session")
def run(trained):
    return cnn_jax.load(trained)


@pytest.fixture(scope="session")
def viewer(run):
    """With all features there, so that tests need not wait."""
    searched = Searched(as_network(run), examples(run, "train"))
    searched.compute(lambda what, done, total: None)
    return Viewer(run, searched)
