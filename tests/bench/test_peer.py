"""Peers as processes: the protocol, what happens when one fails, and the refusal of other work."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.bench import peer
from cnn_jax.bench.peer import Job, Peer, PeerProcess, Started, peer_python, prove_same_work, started
from cnn_jax.errors import BenchError, ConfigError

TOLD = [2.5, 2.0, 1.5]
FAKE = str(Path(__file__).with_name("fake_peer.py"))


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setitem(peer.PEERS, "fake", Peer("a fake", FAKE, {"told": TOLD}))


def job(**options: Any) -> Job:
    weights = {
        "params/conv1/kernel": np.full((1, 1, 2, 2), 0.25, np.float32),
        "params/fc/bias": np.zeros(3, np.float32),
    }
    image, label = np.zeros((3, 2, 4, 4, 1), np.float32), np.zeros((3, 2), np.int32)
    return Job("lenet:small", weights, image, label, 0.01, 0.9, 1, options)


@contextmanager
def running(**options: Any) -> Iterator[Started]:
    with started("fake", Path(sys.executable), job(**options)) as peer:
        yield peer


def test_a_peer_answers_with_losses_and_seconds_whatever_its_libraries_print():
    with running() as theirs:
        assert theirs.losses(4) == [3.5, 3.0, 2.5, 3.5]  # the batches come round again
        assert theirs.losses(1) == [3.5]  # from the initial weights on
        assert 0 <= theirs.run(5) < 1
        assert theirs.compile_seconds >= 0
        assert theirs.versions == {"numpy": np.__version__}
        assert theirs.process.ask({"do": "echo", "what": "x"}) == {"said": "x"}


def test_weights_and_batches_arrive_as_they_are():
    with started("fake", Path(sys.executable), job()._replace(image=np.ones((3, 2, 4, 4, 1), np.float32))) as theirs:
        assert theirs.losses(1) == [3.5 + 32]
        again = theirs.again(job(told=[0.0, 0.0, 0.0]))
        assert again.losses(1) == [1.0]


def test_a_peer_ends_with_its_block():
    with running() as theirs:
        pass
    with pytest.raises((BenchError, ValueError)):
        theirs.losses(1)


def test_a_peer_that_cannot_start_says_why_in_one_line():
    with pytest.raises(BenchError, match=r"^E-BENCH-262: peer fake cannot start: RuntimeError: no such compiler$"):
        running(fail="start").__enter__()


def test_a_peer_that_dies_is_quoted():
    with pytest.raises(BenchError, match=r"E-BENCH-261: peer fake has died: Segmentation fault"):
        running(fail="die").__enter__()


def test_a_missing_library_is_named(tmp_path):
    script = tmp_path / "lost.py"
    script.write_text("import no_such_library_at_all\n")
    process = PeerProcess("lost", [sys.executable, str(script)], 1)
    try:
        with pytest.raises(BenchError, match=r"has died: ModuleNotFoundError: No module named 'no_such_library"):
            process.ask({"do": "start"})
    finally:
        process.close()


def test_a_peer_that_hangs_is_given_up():
    with running(fail="hang") as theirs, pytest.raises(BenchError, match=r"E-BENCH-263: .* has not answered for 1 s"):
        theirs.process.ask({"do": "losses", "steps": 3}, patience=1.0)


def test_the_same_work_is_proved():
    proof = prove_same_work("F", [2.0, 1.0], [2.0, 1.0005])
    assert proof["difference"] == pytest.approx(5e-4)
    assert proof["steps"] == 1
    assert proof["losses"] == {"ours": [2.0, 1.0], "theirs": [2.0, 1.0005]}


@pytest.mark.parametrize("theirs", [[2.0, 1.01], [2.1, 1.0], [float("nan"), 1.0]])
def test_other_work_is_an_error_and_no_number(theirs):
    with pytest.raises(BenchError, match="E-BENCH-264: F does not do the same work") as caught:
        prove_same_work("F", [2.0, 1.0], theirs)
    assert re.search(r"losses of 2\.00000, 1\.00000 here", str(caught.value))
    assert caught.value.exit_status == 6


def test_losses_of_different_length_are_no_proof():
    with pytest.raises(ValueError, match="zip"):
        prove_same_work("F", [2.0, 1.0], [2.0])


def test_the_interpreter_of_the_peers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert peer_python(None) == Path(sys.executable)
    assert peer_python(sys.executable) == Path(sys.executable)
    with pytest.raises(ConfigError, match=r"E-CONF-260: .*make bench-peers"):
        peer_python(str(tmp_path / "python"))
    own = tmp_path / ".venv-peers" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert peer_python(None) == Path(".venv-peers/bin/python")
