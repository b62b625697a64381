"""Folders of images, and workdirs made for them."""

from __future__ import annotations

import pytest

from cnn_jax.data import load_dataset
from tests.evaluate.workdirs import dataset, folder, workdir

MODEL = "lenet:modern,num_classes=7,features=(3,4),head_features=(12,9),kernel_size=3"


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder of 20x20 images in seven classes."""
    return folder(tmp_path_factory.mktemp("images"), dataset(20, test=40))


@pytest.fixture(scope="session")
def trained(tmp_path_factory, images):
    """Two workdirs of the same network on the folder, the first with checkpoints of two steps."""
    root, own = tmp_path_factory.mktemp("trained"), f"folder:{images}"
    data = load_dataset(own)
    return [
        workdir(root / "first", MODEL, data, (2, 4), data=own),
        workdir(root / "second", MODEL, data, (3,), data=own),
    ]
