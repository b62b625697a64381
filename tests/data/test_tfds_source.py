from __future__ import annotations

import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import load_dataset
from cnn_jax.errors import DataError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    tfds = pytest.importorskip("tensorflow_datasets")


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Eight training and four test images of flat grey values, labels alternating."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "id": tfds.features.Text(),
            "picture": tfds.features.Image(shape=(None, None, 3)),
            "kind": tfds.features.ClassLabel(names=["left", "right"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 8), "test": self._generate_examples(100, 4)}

    def _generate_examples(self, start, count):
        for i in range(count):
            yield i, {"id": str(i), "picture": self.picture(start + i), "kind": i % 2}

    def picture(self, value):
        return Image.fromarray(np.full((5, 6, 3), value, np.uint8))


with tfds.core.registered.skip_registration():

    class OddSizes(TinyPictures):
        """The same, the third image larger."""

        name = "odd_sizes"

        def picture(self, value):
            return Image.new("RGB", (9, 9) if value == 2 else (6, 5))

    class ImageNetLike(TinyPictures):
        """Train and validation with labels, test without, and an unsupervised split."""

        name = "image_net_like"

        def _split_generators(self, dl_manager):
            splits = {"train": (0, 8), "validation": (50, 4), "test": (100, 4), "unsupervised": (150, 2)}
            return {name: self._generate_examples(*value) for name, value in splits.items()}

        def _generate_examples(self, start, count):
            for key, example in super()._generate_examples(start, count):
                yield key, example | ({"kind": -1} if start >= 100 else {})

    class TrainOnly(TinyPictures):
        """One split alone."""

        name = "train_only"

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(0, 40)}

    class NoTrain(TinyPictures):
        """No training split."""

        name = "no_train"

        def _split_generators(self, dl_manager):
            return {"test": self._generate_examples(0, 4)}

    class TwoLabels(TinyPictures):
        """Two labels an example, so that neither is the label."""

        name = "two_labels"

        def _info(self):
            label = tfds.features.ClassLabel(num_classes=2)
            features = {"picture": tfds.features.Image(shape=(5, 6, 3)), "kind": label, "other": label}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _generate_examples(self, start, count):
            for key, example in super()._generate_examples(start, count):
                yield key, {"picture": example["picture"], "kind": 0, "other": 1}


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    root = tmp_path / "tfds"
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    return root


@pytest.fixture
def prepare(data_dir):
    def run(builder, file_format="array_record"):
        builder(data_dir=data_dir, file_format=file_format).download_and_prepare()

    return run


def _values(split):
    return split.image[:, 0, 0, 0].tolist()


def test_prepared_data_is_read_by_feature_type(prepare):
    prepare(TinyPictures)
    dataset = load_dataset("tfds:tiny_pictures", validation=0)
    assert dataset.classes == ("left", "right")
    assert dataset.image_shape == (5, 6, 3)
    assert _values(dataset.splits["train"]) == list(range(8))
    assert _values(dataset.splits["test"]) == [100, 101, 102, 103]
    np.testing.assert_array_equal(dataset.splits["train"].label, [0, 1] * 4)
    assert (np.ptp(dataset.splits["train"].image, axis=(1, 2, 3)) == 0).all()
    held = load_dataset("tfds:tiny_pictures:1.0.0", validation=0.25)
    assert {name: len(split) for name, split in held.splits.items()} == {"train": 6, "validation": 2, "test": 4}


def test_own_registered_builder_is_prepared_when_asked_for(data_dir, capsys):
    assert _values(load_dataset("tfds:tiny_pictures", validation=0).splits["train"]) == list(range(8))
    assert (data_dir / "tiny_pictures" / "1.0.0" / "dataset_info.json").exists()
    assert capsys.readouterr().out == ""


def test_second_time_comes_from_the_cache(prepare, monkeypatch):
    prepare(TinyPictures)
    first = load_dataset("tfds:tiny_pictures")
    monkeypatch.setattr("cnn_jax.data.tfds_source.decode_many", None)
    assert load_dataset("tfds:tiny_pictures").fingerprint == first.fingerprint


def test_a_process_that_does_not_know_the_builder_reads_it_without_tensorflow(prepare):
    prepare(TinyPictures)
    code = (
        "import sys; from cnn_jax.data import load_dataset; print(load_dataset('tfds:tiny_pictures').image_shape);"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(5, 6, 3)", "False"]


def test_validation_stands_in_for_an_unlabelled_test_split(prepare, caplog):
    prepare(ImageNetLike)
    dataset = load_dataset("tfds:image_net_like", validation=0)
    assert _values(dataset.splits["test"]) == [50, 51, 52, 53]
    assert "test split has no labels" in caplog.text


def test_test_is_held_out_where_there_is_only_train(prepare):
    prepare(TrainOnly)
    dataset = load_dataset("tfds:train_only", validation=0)
    np.testing.assert_array_equal(np.bincount(dataset.splits["test"].label), [4, 4])
    assert sorted(_values(dataset.splits["train"]) + _values(dataset.splits["test"])) == list(range(40))


def test_images_of_two_sizes_are_named_and_can_be_resized(prepare):
    prepare(OddSizes)
    with pytest.raises(DataError, match=r"train example 0 is 6x5, .*train example 2 is 9x9; set --config.image_size"):
        load_dataset("tfds:odd_sizes")
    assert load_dataset("tfds:odd_sizes", image_size=4, fit="resize").image_shape == (4, 4, 3)


def test_missing_train_split_and_ambiguous_label_are_named(prepare):
    prepare(NoTrain)
    with pytest.raises(DataError, match="no train split, only test"):
        load_dataset("tfds:no_train")
    prepare(TwoLabels)
    with pytest.raises(DataError, match=r"2 ClassLabel features, one is needed: .*kind: ClassLabel, other: ClassLabel"):
        load_dataset("tfds:two_labels")


@pytest.mark.parametrize(
    "name", ["nothing_of_that_name", "tiny_pictures:7.7.7", "tiny_pictures/no_config", "A B", "a/b/c"]
)
def test_unknown_names_say_where_was_looked(name, data_dir):
    with pytest.raises(DataError) as caught:
        load_dataset(f"tfds:{name}")
    assert str(data_dir) in caught.value.message
    assert f"tfds:{name}" in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 500


def test_what_would_be_downloaded_is_named_with_its_hash_and_place(data_dir):
    with pytest.raises(DataError) as caught:
        load_dataset("tfds:mnist")
    for part in (
        str(data_dir), "TFDS_DATA_DIR", "train-images-idx3-ubyte.gz", "downloads/manual/mnist", "download_and_prepare",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ):  # fmt: skip
        assert part in caught.value.message


def test_damaged_records_are_named(prepare, data_dir):
    prepare(TinyPictures)
    (shard,) = (data_dir / "tiny_pictures" / "1.0.0").glob("*train.array_record*")
    data = bytearray(shard.read_bytes())
    data[200:220] = bytes(20)
    shard.write_bytes(data)
    with pytest.raises(DataError, match="tfds:tiny_pictures"):
        load_dataset("tfds:tiny_pictures")


def _mnist_files(directory):
    """MNIST's four files with 20 and 10 images instead of 70,000, and what they hold."""
    generator, held = np.random.default_rng(0), {}
    directory.mkdir(parents=True)
    for split, stem, count in (("train", "train", 20), ("test", "t10k", 10)):
        image, label = generator.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10
        held[split] = image, label
        header = struct.pack(">4i", 2051, count, 28, 28)
        (directory / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + image.tobytes()))
        (directory / f"{stem}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">2i", 2049, count) + label.tobytes())
        )
    return held


def _cifar10_files(directory):
    """CIFAR-10's archive with four images a batch."""
    generator, held = np.random.default_rng(0), {"train": ([], []), "test": ([], [])}
    directory.mkdir(parents=True)
    with tarfile.open(directory / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
            image, label = generator.integers(0, 256, (4, 32, 32, 3), np.uint8), generator.integers(0, 10, 4, np.uint8)
            records = b"".join(bytes([y]) + x.transpose(2, 0, 1).tobytes() for x, y in zip(image, label, strict=True))
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            entry.size = len(records)
            archive.addfile(entry, io.BytesIO(records))
            for store, values in zip(held["test" if "test" in name else "train"], (image, label), strict=True):
                store.extend(values)
    return held


@pytest.mark.parametrize(("name", "write"), [("mnist", _mnist_files), ("cifar10", _cifar10_files)])
def test_classic_sets_are_prepared_from_their_files_without_tensorflow(data_dir, monkeypatch, name, write):
    manual = data_dir / "downloads" / "manual" / name
    held = write(manual)
    with pytest.raises(DataError, match=r"E-DATA-21.*sha256 is not [0-9a-f]{64}; fetch it again"):
        load_dataset(f"tfds:{name}")
    _accept(monkeypatch, manual)
    dataset = load_dataset(f"tfds:{name}", validation=0)
    for split, (image, label) in held.items():
        pixels = np.asarray(image).reshape(len(label), *dataset.image_shape)
        expected = sorted((p.tobytes(), int(y)) for p, y in zip(pixels, label, strict=True))
        found = dataset.splits[split]
        assert sorted((p.tobytes(), int(y)) for p, y in zip(found.image, found.label, strict=True)) == expected
    # Stock TFDS, which knows nothing of our builder, reads the directory.
    stock = tfds.data_source(name, split="test", data_dir=data_dir, download=False)
    assert len(stock) == len(held["test"][1])
    assert dataset.classes[:2] == {"mnist": ("0", "1"), "cifar10": ("airplane", "automobile")}[name]


def _accept(monkeypatch, manual):
    """Records the hashes of the files in `manual` as the right ones."""
    infos = {
        path.name: SimpleNamespace(filename=path.name, checksum=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in manual.iterdir()
    }
    monkeypatch.setattr(tfds.core.DatasetBuilder, "url_infos", infos)
