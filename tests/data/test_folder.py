from __future__ import annotations

import logging
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import decode_many, load_dataset
from cnn_jax.data.folder import natural
from cnn_jax.errors import DataError


def _pixels(root, part, names, count):
    files = [root / part / name / f"{i}.png" for name in names for i in range(count)]
    return np.stack([np.asarray(Image.open(file)) for file in files])


def _refused(number, *parts, spec, **arguments):
    with pytest.raises(DataError) as caught:
        load_dataset(spec, **arguments)
    message = str(caught.value)
    assert message.startswith(f"E-DATA-{number:02d}: "), message
    assert "\n" not in message
    assert caught.value.exit_status == 3
    for part in parts:
        assert str(part) in message
    return message


def test_split_folder_holds_every_file_in_natural_order(folder):
    root = folder(count=12)
    dataset = load_dataset(f"folder:{root}", validation=0)
    assert dataset.classes == ("cat", "dog")
    assert dataset.image_shape == (6, 6, 3)
    assert list(dataset.splits) == ["train", "test"]
    for part in ("train", "test"):
        np.testing.assert_array_equal(dataset.splits[part].image, _pixels(root, part, ("cat", "dog"), 12))
        np.testing.assert_array_equal(dataset.splits[part].label, [0] * 12 + [1] * 12)


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_own_validation_split_is_used(folder, name):
    root = folder(parts=("train", "test", name), count=3)
    dataset = load_dataset(f"folder:{root}")
    assert {key: len(split) for key, split in dataset.splits.items()} == {"train": 6, "validation": 6, "test": 6}
    np.testing.assert_array_equal(dataset.splits["validation"].image, _pixels(root, name, ("cat", "dog"), 3))


def test_validation_is_the_test_split_where_there_is_no_other(folder):
    root = folder(parts=("train", "val"), count=10)
    dataset = load_dataset(f"folder:{root}")
    np.testing.assert_array_equal(dataset.splits["test"].image, _pixels(root, "val", ("cat", "dog"), 10))
    assert {key: len(split) for key, split in dataset.splits.items()} == {"train": 18, "validation": 2, "test": 20}


def test_flat_folder_holds_a_fifth_of_each_class_out(folder):
    root = folder(parts=("",), classes=("1", "2", "10"), count=20)
    dataset = load_dataset(f"folder:{root}", validation=0)
    assert dataset.classes == ("1", "2", "10")
    for part, count in (("train", 16), ("test", 4)):
        np.testing.assert_array_equal(np.bincount(dataset.splits[part].label), [count] * 3)
    together = np.concatenate([dataset.splits["train"].image, dataset.splits["test"].image])
    assert _sorted(together) == _sorted(_pixels(root, "", dataset.classes, 20))


def test_held_out_test_files_stay_when_files_are_added_and_whatever_the_seed(folder, save, noise):
    root = folder(parts=("",), count=20)
    first = load_dataset(f"folder:{root}", seed=0, validation=0).splits["test"].image
    again = load_dataset(f"folder:{root}", seed=1, validation=0).splits["test"].image
    np.testing.assert_array_equal(first, again)
    for name in ("cat", "dog"):
        save(root / name / "99.png", noise(99999, 6, 6, 3))
    grown = load_dataset(f"folder:{root}", validation=0).splits["test"].image
    assert len(set(_sorted(grown)) & set(_sorted(first))) >= len(first) - 2


def test_folder_called_train_may_be_a_class(folder):
    root = folder(parts=("",), classes=("bus", "train"), count=5)
    assert load_dataset(f"folder:{root}").classes == ("bus", "train")


def test_all_grey_stays_grey_and_a_mixture_becomes_rgb(folder, save, noise):
    root = folder(shape=(6, 6), count=3)
    assert load_dataset(f"folder:{root}", validation=0).image_shape == (6, 6, 1)
    colour = noise(5, 6, 6, 3)
    save(root / "train" / "dog" / "2.png", colour)
    mixed = load_dataset(f"folder:{root}", validation=0)
    train = mixed.splits["train"].image
    assert mixed.image_shape == (6, 6, 3)
    np.testing.assert_array_equal(train[5], colour)
    grey = np.asarray(Image.open(root / "train" / "cat" / "1.png"))
    np.testing.assert_array_equal(train[1], np.stack([grey] * 3, -1))


def test_junk_of_operating_systems_is_ignored(folder):
    root = folder(count=2)
    (root / ".DS_Store").write_text("x")
    (root / "train" / "cat" / ".DS_Store").write_text("x")
    (root / "train" / "cat" / "Thumbs.db").write_text("x")
    (root / "__MACOSX" / "cat").mkdir(parents=True)
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "README.txt").write_text("about")
    dataset = load_dataset(f"folder:{root}", validation=0)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.splits["train"]) == 4


def test_other_folders_beside_train_are_said_to_be_ignored(folder, caplog):
    root = folder(parts=("train", "test", "extra"), count=2)
    with caplog.at_level(logging.WARNING):
        load_dataset(f"folder:{root}")
    assert f"{root}/extra is ignored" in caplog.text


def test_pad_and_resize_bring_images_to_size(folder, save, noise):
    root = folder(count=2)
    raw = _pixels(root, "train", ("cat", "dog"), 2)
    padded = load_dataset(f"folder:{root}", image_size=10, fit="pad", validation=0).splits["train"].image
    np.testing.assert_array_equal(padded, np.pad(raw, ((0, 0), (2, 2), (2, 2), (0, 0))))
    save(root / "train" / "cat" / "1.png", noise(3, 20, 9, 3))
    resized = load_dataset(f"folder:{root}", image_size=(4, 5), fit="resize", validation=0)
    assert resized.image_shape == (4, 5, 3)


def test_threads_decode_the_same(folder, monkeypatch):
    root = folder(count=70)
    monkeypatch.setattr("cnn_jax.data.folder.THREADS_FROM_BYTES", 0)
    dataset = load_dataset(f"folder:{root}", validation=0)
    np.testing.assert_array_equal(dataset.splits["train"].image, _pixels(root, "train", ("cat", "dog"), 70))


def test_missing_empty_and_single_class_folders(tmp_path, folder):
    _refused(1, tmp_path / "none", "does not exist", spec=f"folder:{tmp_path / 'none'}")
    (tmp_path / "file").write_text("x")
    _refused(1, tmp_path / "file", "is a file", spec=f"folder:{tmp_path / 'file'}")
    (tmp_path / "void").mkdir()
    _refused(2, tmp_path / "void", "no class folders", spec=f"folder:{tmp_path / 'void'}")
    root = folder(classes=("cat",), count=2)
    _refused(3, root, "cat", "at least two", spec=f"folder:{root}")


def test_empty_class_nested_folder_and_lonely_image(folder, tmp_path):
    root = folder(parts=("",), count=2)
    (root / "eel").mkdir()
    _refused(4, root / "eel", "no images", spec=f"folder:{root}")
    (root / "eel" / "deep").mkdir()
    _refused(9, root / "eel" / "deep", "inside a class folder", spec=f"folder:{root}")
    (root / "eel" / "deep").rmdir()
    shutil.copy(root / "cat" / "0.png", root / "eel" / "0.png")
    _refused(12, "eel", "one image", spec=f"folder:{root}")


def test_classes_must_agree_between_splits(folder):
    root = folder(count=2)
    (root / "test" / "dog").rename(root / "test" / "dgo")
    _refused(5, root / "test", "without dog", "dgo besides", spec=f"folder:{root}")
    shutil.rmtree(root / "train")
    _refused(2, "no train/CLASS", spec=f"folder:{root}")


def test_two_validation_folders_are_refused(folder):
    root = folder(parts=("train", "test", "val", "valid"), count=2)
    _refused(2, "two folders for the validation split", spec=f"folder:{root}")


def test_images_of_two_sizes_are_both_named(folder, save, noise):
    root = folder(count=2)
    odd = save(root / "train" / "dog" / "1.png", noise(1, 6, 9, 3))
    _refused(7, f"{root}/test/cat/0.png is 6x6", f"{odd} is 9x6", "--config.image_size=32", spec=f"folder:{root}")
    _refused(6, odd, "9x6 pixels, not 6x6", "--config.fit=resize", spec=f"folder:{root}", image_size=6)


def test_first_broken_files_are_named_and_all_counted(folder):
    root = folder(count=10)
    bad = [root / "train" / "cat" / f"{i}.png" for i in (1, 3, 5, 7, 9)]
    for path in bad:
        path.write_bytes(path.read_bytes()[:60])
    bad[0].write_bytes(b"")
    bad[1].write_text("<html>")
    message = _refused(6, "5 of 40 images", *bad[:3], "0 bytes", "not an image", "2 more", spec=f"folder:{root}")
    assert str(bad[3]) not in message
    os.unlink(bad[0])
    bad[0].symlink_to(root / "nowhere")
    _refused(6, bad[0], "cannot be opened", spec=f"folder:{root}")


def test_unreadable_folder_is_named(folder, monkeypatch):
    root = folder(count=2)
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    # Not by chmod: tests may run as root, whom it does not stop.
    monkeypatch.setattr(os, "scandir", denied)
    _refused(1, "dog", "Permission denied", spec=f"folder:{root}")


def test_more_pixels_than_memory_are_refused_before_allocating(folder, monkeypatch):
    root = folder(count=2)
    monkeypatch.setattr(decode_many.os, "sysconf", lambda name: 10)
    _refused(14, root, "6x6", "GiB", spec=f"folder:{root}")


def test_names_of_any_bytes(folder):
    if sys.platform != "linux":
        pytest.skip("other systems refuse such names")
    root = folder(parts=("",), count=3)
    os.rename(root / "cat", os.fsencode(root) + b"/caf\xe9\n")
    assert load_dataset(f"folder:{root}").classes == ("caf\\xe9\\n", "dog")


def test_nothing_is_cached_of_a_broken_folder(folder, cache):
    root = folder(count=2)
    (root / "test" / "dog" / "1.png").write_bytes(b"")
    _refused(6, "0 bytes", spec=f"folder:{root}")
    assert not cache.exists() or not list(cache.iterdir())


def test_natural_order():
    assert natural(["img10", "img2", "a", "10", "9", "img2b"]) == ["9", "10", "a", "img2", "img2b", "img10"]


def _sorted(images) -> list[bytes]:
    return sorted(image.tobytes() for image in images)
