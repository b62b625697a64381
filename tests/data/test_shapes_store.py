"""`shapes` on disk: what TFDS reads back is what `render` gives, whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cnn_jax.data import shapes
from cnn_jax.data.shapes import CLASSES, CONFIGS, VERSION, builder, load, prepare, render
from cnn_jax.errors import DataError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where two processes have prepared `tiny` at the same time, both with warnings as errors."""
    directory = tmp_path_factory.mktemp("tfds")
    code = "from cnn_jax.data.shapes import prepare; prepare('tiny')"
    environment = {**os.environ, "TFDS_DATA_DIR": str(directory)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.communicate() == (b"", b"")  # silent where nobody looks
        assert process.returncode == 0
    return directory


def test_complete_and_nothing_else(data_dir):
    assert [path.name for path in (data_dir / "shapes" / "tiny").iterdir()] == [VERSION]
    names = {path.name for path in (data_dir / "shapes" / "tiny" / VERSION).iterdir()}
    assert {"dataset_info.json", "features.json"} < names
    assert not [name for name in names if "incomplete" in name]


def test_load_is_render(data_dir):
    splits = load("tiny", data_dir)
    assert {name: len(split["label"]) for name, split in splits.items()} == {"train": 2000, "test": 500}
    for name, split in splits.items():
        expected = render(range(len(split["label"])), split=name)
        np.testing.assert_array_equal(split["image"], expected["image"])
        np.testing.assert_array_equal(split["label"], expected["label"])
        assert (split["image"].dtype, split["label"].dtype) == (np.uint8, np.int32)


def test_stock_tfds_reads_all_features(data_dir):
    stock: Any = tfds.builder_from_directory(data_dir / "shapes" / "tiny" / VERSION)
    assert tuple(stock.info.features["label"].names) == CLASSES
    source = stock.as_data_source("test")
    expected = render(range(len(source)), split="test")
    for index in range(0, 500, 7):
        example, there = source[index], expected["box_label"][index] >= 0
        np.testing.assert_array_equal(example["image"], expected["image"][index])
        np.testing.assert_array_equal(example["mask"][..., 0], expected["mask"][index])
        np.testing.assert_array_equal(example["instance"][..., 0], expected["instance"][index])
        np.testing.assert_array_equal(example["depth"], expected["depth"][index])
        np.testing.assert_array_equal(example["boxes"]["bbox"], expected["boxes"][index][there])
        np.testing.assert_array_equal(example["boxes"]["label"], expected["box_label"][index][there])
        assert (example["label"], example["index"]) == (expected["label"][index], index)


def test_pairs_are_written_and_read(tmp_path):
    config = builder.ShapesConfig(name="few-pairs", description="for this test", train=20, test=10, pairs=True)
    made: Any = builder.Shapes(config=config, data_dir=tmp_path, file_format="array_record")
    made.download_and_prepare(file_format="array_record")
    expected = render(range(10), split="test", pairs=True)
    for index, example in enumerate(made.as_data_source("test")):
        np.testing.assert_array_equal(example["image2"], expected["image2"][index])
        np.testing.assert_array_equal(example["flow"], expected["flow"][index])
        np.testing.assert_array_equal(example["visible"][..., 0], expected["visible"][index])


def test_an_interrupted_preparation_leaves_nothing(tmp_path, monkeypatch, capfd):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(builder, "_png", full_disk)
        with pytest.raises(DataError, match=r"No space left on device.*TFDS_DATA_DIR") as error:
            prepare("tiny", tmp_path)
    assert error.value.number == 74
    assert not list((tmp_path / "shapes" / "tiny").iterdir())
    assert capfd.readouterr().out == ""


def test_damage_is_named(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    [record] = (tmp_path / "copy" / "shapes" / "tiny" / VERSION).glob("*train.array_record*")
    record.write_bytes(record.read_bytes()[:100_000])
    with pytest.raises(DataError, match="damaged") as error:
        load("tiny", tmp_path / "copy")
    assert error.value.number == 75


def test_unwritable_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="TFDS_DATA_DIR") as error:
        prepare("tiny", tmp_path / "file")
    assert error.value.number == 74


def test_configs_agree_with_the_builder():
    assert tuple(config.name for config in builder.Shapes.BUILDER_CONFIGS) == CONFIGS
    assert str(builder.Shapes.VERSION) == VERSION
    sizes = {config.name: (config.size, config.train, config.test) for config in builder.Shapes.BUILDER_CONFIGS}
    assert sizes["32"] == (32, 20_000, 4_000)
    assert sizes["64"] == (64, 20_000, 4_000)
    with pytest.raises(DataError) as error:
        prepare("128")
    assert error.value.number == 73


def test_importing_and_rendering_needs_numpy_only():
    code = (
        "import sys; from cnn_jax.data.shapes import render; render([0], split='train'); "
        "print(sorted({'jax', 'flax', 'tensorflow_datasets', 'tensorflow', 'PIL', 'rich'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() in ("[]", "['PIL']")  # the package's other sources read images
    assert Path(shapes.__file__).parent.name == "shapes"
