from __future__ import annotations

import logging
import os
import threading
import time

import numpy as np
import pytest

from cnn_jax.data import cache as cache_module
from cnn_jax.data import load_dataset
from cnn_jax.data.cache import cached
from cnn_jax.data.dataset import Source, Split


def _source(seed: int = 0, count: int = 5) -> Source:
    image = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    splits = {"train": Split(image, np.arange(count, dtype=np.int32)), "test": Split(image[:2], np.zeros(2, np.int32))}
    return Source(("a", "b"), splits, {name: split.digest() for name, split in splits.items()}, "rule")


def _assert_same(left: Source, right: Source) -> None:
    assert (left.classes, left.digests, left.rule) == (right.classes, right.digests, right.rule)
    assert list(left.splits) == list(right.splits)
    for name, split in left.splits.items():
        np.testing.assert_array_equal(split.image, right.splits[name].image)
        np.testing.assert_array_equal(split.label, right.splits[name].label)


def _never() -> Source:
    raise AssertionError("built again")


@pytest.fixture
def entry(cache):
    cached({"k": 1}, _source)
    (only,) = cache.iterdir()
    return only


def test_second_time_is_read_and_mapped(entry):
    source = cached({"k": 1}, _never)
    _assert_same(source, _source())
    assert isinstance(source.splits["train"].image, np.memmap)


def test_another_identity_is_another_entry(entry):
    _assert_same(cached({"k": 2}, lambda: _source(seed=1)), _source(seed=1))
    _assert_same(cached({"k": 1}, _never), _source())


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "flipped": _flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("file", ["train.image.npy", "train.label.npy", "test.image.npy", "meta.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_said_and_repaired(entry, file, damage, caplog):
    DAMAGE[damage](entry / file)
    with caplog.at_level(logging.WARNING):
        _assert_same(cached({"k": 1}, _source), _source())
    assert "damaged" in caplog.text
    _assert_same(cached({"k": 1}, _never), _source())
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_wrong_dtype_and_missing_keys_are_damage(entry):
    np.save(entry / "train.image.npy", np.zeros((5, 4, 4, 3), np.float32))
    _assert_same(cached({"k": 1}, _source), _source())
    (entry / "meta.json").write_text("[1, 2]")
    _assert_same(cached({"k": 1}, _source), _source())
    _assert_same(cached({"k": 1}, _never), _source())


def test_pickles_are_not_loaded(entry):
    np.save(entry / "train.label.npy", np.array([{"a": 1}], object), allow_pickle=True)
    _assert_same(cached({"k": 1}, _source), _source())


def test_a_failed_build_leaves_nothing(cache):
    with pytest.raises(RuntimeError, match="no"):
        cached({"k": 1}, lambda: (_ for _ in ()).throw(RuntimeError("no")))
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize("failing", ["save", "mkdir"])
def test_full_or_read_only_disk_costs_one_warning(cache, monkeypatch, caplog, failing):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"save": (np, "save"), "mkdir": (cache_module.Path, "mkdir")}[failing], full)
    with caplog.at_level(logging.WARNING):
        _assert_same(cached({"k": 1}, _source), _source())
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert not cache.exists() or not list(cache.iterdir())


def test_builders_at_once_all_get_the_data(cache):
    gate, results = threading.Barrier(4), []

    def build():
        gate.wait(timeout=10)
        return _source()

    threads = [threading.Thread(target=lambda: results.append(cached({"k": 1}, build))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for source in results:
        _assert_same(source, _source())
    _assert_same(cached({"k": 1}, _never), _source())
    assert len(list(cache.iterdir())) == 1


def test_abandoned_builds_are_removed_after_a_day_only(entry):
    old, young = entry.with_name("x.1.tmp"), entry.with_name("x.2.tmp")
    for path, age in ((old, 2 * 24 * 3600), (young, 60)):
        path.mkdir()
        os.utime(path, (time.time() - age, time.time() - age))
    cached({"k": 2}, _source)
    assert not old.exists()
    assert young.exists()


def test_folder_is_decoded_again_when_a_file_changes_even_if_its_date_does_not(folder, save, noise, monkeypatch):
    root = folder(count=3)
    first = load_dataset(f"folder:{root}", validation=0)
    path = root / "train" / "cat" / "1.png"
    status = path.stat()
    changed = noise(77, 6, 6, 3)
    save(path, changed)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = load_dataset(f"folder:{root}", validation=0)
    np.testing.assert_array_equal(second.splits["train"].image[1], changed)
    assert first.fingerprint != second.fingerprint
    monkeypatch.setattr("cnn_jax.data.folder.decode_many", _never)
    assert load_dataset(f"folder:{root}", validation=0).fingerprint == second.fingerprint


def test_folder_is_decoded_again_for_another_size(folder):
    root = folder(count=2)
    shapes = [load_dataset(f"folder:{root}", image_size=n, fit="pad").image_shape for n in (8, 10, 8)]
    assert shapes == [(8, 8, 3), (10, 10, 3), (8, 8, 3)]
