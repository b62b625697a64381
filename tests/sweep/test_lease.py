"""One process alone is at a cell: on this machine, on others, and where the file system keeps no locks."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnn_jax.sweep import lease
from cnn_jax.sweep.lease import only_one

HOLD = """
import sys, time
from cnn_jax.sweep.lease import only_one
with only_one(__import__("pathlib").Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease, "PATIENCE", 0.6)


@pytest.fixture
def local_locks(monkeypatch, quick):
    """As where every machine locks for itself: a lock is always had. Each thread is a machine."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    monkeypatch.setattr(lease, "_host", lambda: f"machine {threading.get_ident()}")


def test_taken_given_back_and_taken_again(tmp_path, quick):
    own = tmp_path / "cell"
    for number in (1, 2, 3):
        with only_one(own) as mine:
            assert mine
            with only_one(own) as second:
                assert not second
        assert [file.name for file in own.glob(".lease-*")] == [f".lease-{number}"]
        assert json.loads((own / f".lease-{number}").read_text())["free"]


def test_what_a_killed_process_held_is_free_on_its_machine_at_once(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with only_one(tmp_path) as mine:
        assert not mine
    holder.kill()
    holder.wait()
    holder.stdout.close()
    started = time.monotonic()
    with only_one(tmp_path) as mine:
        assert mine
    assert time.monotonic() - started < 5


def attempt(folder, until=None):
    with only_one(folder) as mine:
        if until is not None:
            until.wait()
    return mine


def test_a_living_holder_on_another_machine_keeps_it(tmp_path, local_locks):
    with only_one(tmp_path) as mine:
        assert mine
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(attempt, tmp_path).result()
    with only_one(tmp_path) as third:  # given back
        assert third


@pytest.mark.parametrize("text", ['{"host": "m", "process": 7, "beats": 3}', "", '{"ho'])
def test_a_silent_holder_on_another_machine_is_waited_for_and_then_replaced(tmp_path, local_locks, text):
    (tmp_path / ".lease-4").write_text(text)
    started = time.monotonic()
    with only_one(tmp_path) as mine:
        assert mine
    assert time.monotonic() - started > lease.PATIENCE
    assert [file.name for file in tmp_path.glob(".lease-*")] == [".lease-5"]


def test_of_many_that_find_it_free_or_silent_one_alone_gets_it(tmp_path, local_locks):
    for trial, text in enumerate([None, '{"free": true}', '{"host": "m"}'] * 5):
        own = tmp_path / str(trial)
        own.mkdir()
        if text is not None:
            (own / ".lease-1").write_text(text)
        over = threading.Barrier(8)
        with ThreadPoolExecutor(8) as pool:
            tried = [pool.submit(attempt, own, over) for _ in range(8)]
            assert sum(future.result() for future in tried) == 1


def test_a_listing_that_is_out_of_date_gives_nobody_a_second_lease(tmp_path, local_locks, monkeypatch):
    with only_one(tmp_path / "cell") as mine:
        assert mine
        (tmp_path / "cell" / ".lease-1").rename(tmp_path / "cell" / ".lease-3")  # as after two changes of hands
        true, listings = lease._numbers, []

        def numbers(workdir):
            listings.append(true(workdir))
            return [] if len(listings) == 1 else listings[-1]

        monkeypatch.setattr(lease, "_numbers", numbers)
        monkeypatch.setattr(lease, "_lost", lambda file: None)
        with only_one(tmp_path / "cell") as second:
            assert not second
        assert sorted(listings[-1]) == [1, 3]
        assert not (tmp_path / "cell" / ".lease-1").exists()
        (tmp_path / "cell" / ".lease-3").rename(tmp_path / "cell" / ".lease-1")


def test_without_locks_leases_decide_alone(tmp_path, quick, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with only_one(tmp_path) as mine:
        assert mine
        with only_one(tmp_path) as second:
            assert not second


def _hold_and_lose(folder):
    lease.BEAT = 0.05
    with only_one(folder):
        (folder / ".lease-1").unlink()  # as whoever takes over does
        time.sleep(30)


def test_a_process_that_was_replaced_ends_and_may_be_started_again(tmp_path, capfd):
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_lose, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 75
    assert "E-STOP-300" in capfd.readouterr().err
