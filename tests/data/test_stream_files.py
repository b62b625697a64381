"""Data left in its files is the data in memory: content, splits, statistics, fingerprint."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import load_dataset
from cnn_jax.data.lazy import LazyImages
from cnn_jax.errors import DataError


def assert_same(ours, theirs):
    assert ours.streamed
    assert not theirs.streamed
    assert ours.fingerprint == theirs.fingerprint
    assert ours.classes == theirs.classes
    for a, b in zip(ours.statistics(), theirs.statistics(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(ours.covariance(), theirs.covariance())
    assert ours.splits.keys() == theirs.splits.keys()
    for name, split in theirs.splits.items():
        assert isinstance(ours.splits[name].image, LazyImages)
        np.testing.assert_array_equal(ours.splits[name].label, split.label)
        np.testing.assert_array_equal(np.asarray(ours.splits[name].image), split.image)


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "validation"), ()])
def test_a_folder(folder, save, noise, parts):
    root = folder(parts=parts or ("",), count=12)
    if not parts:  # the files of the one part lie in PATH/CLASS
        save(root / "cat" / "grey.png", noise(7, 6, 6))  # one grey image among coloured ones
    assert_same(load_dataset(f"folder:{root}", memory=0), load_dataset(f"folder:{root}"))


def test_grey_images_of_other_sizes(tmp_path, save, noise):
    for name in ("a", "b"):
        for i in range(5):
            save(tmp_path / "grey" / name / f"{i}.png", noise(i, 9 + i, 12))
    arguments = {"spec": f"folder:{tmp_path / 'grey'}", "image_size": 8, "fit": "resize"}
    lazy = load_dataset(memory=0, **arguments)
    assert lazy.image_shape == (8, 8, 1)
    assert_same(lazy, load_dataset(**arguments))


def test_array_records(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert_same(load_dataset("shapes:tiny", memory=0), load_dataset("shapes:tiny"))


def test_memory_decides(folder):
    root = folder(count=10)  # 40 images of 6x6x3
    size = 40 * 6 * 6 * 3
    assert load_dataset(f"folder:{root}", memory=size - 1).streamed
    assert not load_dataset(f"folder:{root}", memory=size).streamed


def test_a_second_start_reads_no_image(folder, monkeypatch):
    root = folder()
    first = load_dataset(f"folder:{root}", memory=0)
    reads = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: reads.append(args) or original(*args, **kwargs))
    second = load_dataset(f"folder:{root}", memory=0)
    assert len(reads) == 1  # the first image, for the size of all
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.statistics().mean, first.statistics().mean)


def test_a_damaged_survey_is_made_again(folder, cache, caplog):
    root = folder()
    first = load_dataset(f"folder:{root}", memory=0)
    (file,) = cache.with_name("surveys").glob("*.npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert load_dataset(f"folder:{root}", memory=0).fingerprint == first.fingerprint
    assert "damaged" in caplog.text


def test_faults_are_named_before_training(folder):
    root = folder()
    (root / "train" / "cat" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 40 images cannot be used: .*cat/3\.png is empty"):
        load_dataset(f"folder:{root}", memory=0)


def test_a_file_that_changes_later_is_named(folder, save, noise):
    root = folder()
    image = load_dataset(f"folder:{root}", memory=0).splits["test"].image
    save(root / "test" / "cat" / "0.png", noise(1, 7, 7, 3))
    with pytest.raises(DataError, match=r"test/cat/0\.png is 7x7x3 now and was 6x6x3"):
        image[0]
    (root / "test" / "cat" / "0.png").unlink()
    with pytest.raises(DataError, match=r"test/cat/0\.png cannot be opened"):
        image[0]
