"""Processes that read: they change nothing, and one that dies, leaves or hangs is named within thirty seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data import grain_batches, load_dataset
from cnn_jax.data.grain_batches import evaluation_batches, training_batches
from cnn_jax.data.lazy import LazyImages
from cnn_jax.data.readers import Readers
from cnn_jax.errors import DataError
from cnn_jax.train.feed import Ahead

KEY = np.array([1, 2], np.uint32)


class Leaves:
    """Records whose reader leaves at the twentieth image, as a decoder written in C may."""

    def __init__(self, records):
        self._records, self._left = records, 20

    def __len__(self):
        return len(self._records)

    def name(self, index):
        return self._records.name(index)

    def read(self, index):
        self._left -= 1
        if not self._left:
            os._exit(0)
        return self._records.read(index)


def exhaust(ahead):
    while True:
        next(ahead)


@pytest.fixture
def split(folder):
    return load_dataset(f"folder:{folder(count=20)}", memory=0).splits["train"]


def batches_of(split, workers, steps=range(7), rows=None):
    return training_batches(
        split, KEY, batch_size=8, rows=np.arange(8) if rows is None else rows, steps=steps, workers=workers
    )


def test_workers_and_restarts_change_nothing(split):
    assert isinstance(split.image, LazyImages)
    alone = list(batches_of(split, 0))
    two = batches_of(split, 2)
    found = [{name: np.array(values) for name, values in batch.items()} for batch in two]
    two.close()
    assert len(found) == len(alone) == 7
    for a, b in zip(found, alone, strict=True):
        assert a.keys() == b.keys() == {"image", "label", "index", "epoch"}
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
        np.testing.assert_array_equal(a["label"], split.label[a["index"]])
        np.testing.assert_array_equal(a["image"][3], split.image[int(a["index"][3])])
    seen = np.concatenate([batch["index"] for batch in alone])
    assert sorted(seen[: len(split)]) == list(range(len(split)))
    later = list(batches_of(split, 0, steps=range(4, 7)))
    np.testing.assert_array_equal(later[0]["image"], alone[4]["image"])
    shares = [list(batches_of(split, 0, rows=rows)) for rows in (np.arange(3), np.arange(3, 8))]
    np.testing.assert_array_equal(np.concatenate([s[2]["index"] for s in shares]), alone[2]["index"])


def test_evaluation_sees_every_example_once_and_again(split):
    stream = evaluation_batches(split, batch_size=16, rows=np.arange(16), workers=0)
    for _ in range(2):
        batches = [next(stream) for _ in range(-(-len(split) // 16))]
        valid = np.concatenate([batch["valid"] for batch in batches])
        labels = np.concatenate([batch["label"] for batch in batches])
        np.testing.assert_array_equal(labels[valid], split.label)
        assert valid.sum() == len(split)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "exits", "hangs"])
def test_a_reader_that_fails_is_named_in_time(split, fault, monkeypatch):
    monkeypatch.setattr("cnn_jax.data.readers.HANG_SECONDS", 5)
    if fault == "exits":
        split.image._records = Leaves(split.image._records)
    batches = batches_of(split, 1, steps=range(10**6))
    ahead = Ahead(iter(batches), batches)
    next(ahead)
    if fault != "exits":
        (worker,) = (p for p in multiprocessing.active_children() if "prefetch" in p.name)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP if fault == "hangs" else signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        exhaust(ahead)  # some batches were ready
    assert time.monotonic() - started < 20
    codes = {"killed": -9, "exits": 0}
    message = rf"died \(exit code {codes[fault]}\)" if fault in codes else "no data for 5 s"
    assert caught.match(message)
    assert caught.match(r"at .*/images/train/(cat|dog)/\d+\.png.*the same command goes on")
    assert caught.value.exit_status == 3
    ahead.close()
    assert not [p for p in multiprocessing.active_children() if "prefetch" in p.name]
    assert time.monotonic() - started < 30


def test_one_of_two_readers_that_fails_is_named_though_it_began_last(split, monkeypatch):
    """The other's batches come first, and go on coming until this one's are due."""
    meet, met = Readers._meet, []

    def meet_one(self, now):
        met.append(self)
        return meet(self, now if len(met) > 1 else sorted(now)[:1])

    monkeypatch.setattr(Readers, "_meet", meet_one)
    batches = batches_of(split, 2, steps=range(10**6))
    ahead = Ahead(iter(batches), batches)
    next(ahead)
    workers = sorted((p for p in multiprocessing.active_children() if "prefetch" in p.name), key=lambda p: p.pid or 0)
    assert workers[-1].pid is not None
    os.kill(workers[-1].pid, signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"died \(exit code (-9|unknown)\)"):
        exhaust(ahead)
    assert time.monotonic() - started < 15
    ahead.close()


@pytest.mark.parametrize("code", [0, 3])
def test_a_reader_that_left_before_it_was_met_is_named_with_its_exit_code(code):
    readers = Readers(str)
    worker = multiprocessing.get_context("spawn").Process(target=os._exit, args=(code,))
    worker.start()
    (Path(readers.directory) / str(worker.pid)).write_bytes(bytes(8))
    assert worker.pid is not None
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has asked for it
    with pytest.raises(DataError, match=rf"died \(exit code {code}\) while it was at 0"):
        readers.check()


def test_a_reader_that_has_ended_needs_no_ending():
    """Its number may be another process's by now."""
    readers = Readers(str)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        for pid in (bystander.pid, 2**22 + 1):  # the second is above what Linux gives
            (Path(readers.directory) / str(pid)).write_bytes(bytes(8))
        readers.kill()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_reader_that_gets_on_is_let_be(tmp_path, monkeypatch):
    monkeypatch.setattr("cnn_jax.data.readers.HANG_SECONDS", 3)
    readers = Readers(str)
    from cnn_jax.data.readers import Reader

    reader = Reader(readers.directory)
    for index in range(8):
        reader.at(index)
        readers.check()
    for _ in range(2):
        readers.check()
    with pytest.raises(DataError, match="while it was at 7"):
        readers.check()


def test_readers_end_with_who_started_them(monkeypatch):
    class Ended(BaseException):
        pass

    def end(status):
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(Ended):
        grain_batches._end_with(parent=os.getpid())  # whoever started this process is another one


def test_errors_of_a_reader_come_through(split, tmp_path):
    victim = next((tmp_path / "images" / "train").rglob("*.png"))
    victim.write_bytes(b"")
    batches = batches_of(split, 1)
    with pytest.raises(DataError, match=f"{victim.name} is empty"):
        list(batches)
    batches.close()
