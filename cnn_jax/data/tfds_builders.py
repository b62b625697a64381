"""TFDS builders for the classic sets whose stock builders need TensorFlow to be prepared.

They have the stock builders' names, versions and features, so what they write is read by any TFDS. Imports TFDS:
import it late.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import registered

from cnn_jax.data.decode import shown
from cnn_jax.errors import DataError

Arrays = tuple[np.ndarray, np.ndarray]
"""Images uint8 `[N, H, W, C]` and labels `[N]`."""

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def without_tensorflow(stock: Any, directory: Path, data_dir: Path) -> Any:
    """A builder that makes the same data set as `stock` from files in `directory`, or `stock` if it is none of ours.

    Args:
        stock: the TFDS builder of that name.
        directory: holds the files that `stock` would download, under the names that `stock.url_infos` gives.
        data_dir: where TFDS keeps prepared data.

    Raises:
        DataError: a file whose sha256 is not the recorded one.
    """
    read = _READERS.get(stock.name)
    if read is None:
        return stock
    for info in stock.url_infos.values():
        with (directory / info.filename).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != info.checksum:
                found = f"{shown(directory / info.filename)} is not the file of tfds:{stock.name}"
                raise DataError(21, f"{found}: its sha256 is not {info.checksum}; fetch it again")
    with registered.skip_registration():

        class FromFiles(tfds.core.GeneratorBasedBuilder):
            """The stock data set, written from its files."""

            name = stock.name
            VERSION = stock.version

            def _info(self) -> tfds.core.DatasetInfo:
                features = dict(stock.info.features)
                if stock.name == "cifar10":
                    features["label"] = tfds.features.ClassLabel(names=list(_CIFAR10))
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
                return {split: self._generate_examples(split) for split in ("train", "test")}

            def _generate_examples(self, split: str) -> Iterator[Any]:
                images, labels = read(directory, split)
                for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
                    example = {"image": picture, "label": int(label)}
                    key = f"{split}_{index:05d}"
                    yield key, example | ({"id": key} if "id" in stock.info.features else {})

    return FromFiles(data_dir=data_dir, file_format="array_record")


def _mnist(directory: Path, split: str) -> Arrays:
    """The IDX files of MNIST and its relatives (LeCun et al. 1998)."""
    stem = {"train": "train", "test": "t10k"}[split]
    images = np.frombuffer(gzip.decompress((directory / f"{stem}-images-idx3-ubyte.gz").read_bytes()), np.uint8)
    labels = np.frombuffer(gzip.decompress((directory / f"{stem}-labels-idx1-ubyte.gz").read_bytes()), np.uint8)
    count, height, width = images[4:16].view(">i4")
    return images[16:].reshape(count, height, width, 1), labels[8:]


def _cifar10(directory: Path, split: str) -> Arrays:
    """The binary version of CIFAR-10 (Krizhevsky 2009): records of a label and 3072 pixels, channel by channel."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    with tarfile.open(directory / "cifar-10-binary.tar.gz") as archive:
        members = [archive.extractfile(f"cifar-10-batches-bin/{name}") for name in names]
        records = np.frombuffer(b"".join(member.read() for member in members if member), np.uint8).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]


_READERS: dict[str, Callable[[Path, str], Arrays]] = {
    "mnist": _mnist,
    "fashion_mnist": _mnist,
    "kmnist": _mnist,
    "cifar10": _cifar10,
}
