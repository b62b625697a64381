"""Peers: processes of another interpreter, and the proof that both sides do the same work."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.errors import BenchError, ConfigError

_SCRIPTS = Path(__file__).parent / "peers"
TOLERANCE = 1e-3
"""Relative; of losses after `STEPS` updates."""
STEPS = 5
_PATIENCE = 1800.0  # seconds; compiling a large network takes minutes


class Peer(NamedTuple):
    """A row of the table of peers.

    Attributes:
        what: in words.
        script: the file that is it.
        options: what else its process is told.
    """

    what: str
    script: str
    options: Mapping[str, Any] = {}


PEERS = {
    "F": Peer("the plain Flax loop of flax's imagenet example", "flax_peer.py"),
    "K": Peer("Keras 3 on JAX, its guide's jitted loop", "keras_peer.py"),
    "T": Peer("PyTorch, eager, channels_last", "torch_peer.py"),
    "TC": Peer("PyTorch, torch.compile, channels_last", "torch_peer.py", {"compiled": True}),
    "timm": Peer("timm or torchvision, torch.compile, channels_last, automatic mixed precision", "timm_peer.py"),
}


def peer_python(named: str | None) -> Path:
    """The interpreter of the peers: the one named, else that of `make bench-peers`, else this one.

    Raises:
        ConfigError: the one named is no file.
    """
    if named:
        if not Path(named).is_file():
            raise ConfigError(260, f"--peer_python={named} is no file: make bench-peers makes .venv-peers/bin/python")
        return Path(named)
    own = Path(".venv-peers/bin/python")
    return own if own.is_file() else Path(sys.executable)


class Job(NamedTuple):
    """What both sides are given; `protocol.py` says how it lies in a directory.

    Attributes:
        network: a model's name.
        weights: initial arrays by path, `params/conv1/kernel`.
        image: float32 [K, B, H, W, C], normalised.
        label: int32 [K, B].
        learning_rate: constant.
        momentum: of SGD.
        threads: of the peer; 0 for its own choice.
        options: what only some peers understand.
    """

    network: str
    weights: Mapping[str, np.ndarray]
    image: np.ndarray
    label: np.ndarray
    learning_rate: float
    momentum: float
    threads: int
    options: Mapping[str, Any] = {}

    def write(self, directory: Path) -> dict[str, Any]:
        """Writes the arrays; the message that starts a peer on them."""
        names = [(name, list(array.shape)) for name, array in self.weights.items()]
        flat = [np.asarray(array, np.float32).reshape(-1) for array in self.weights.values()]
        np.save(directory / "weights.npy", np.concatenate(flat))
        (directory / "weights.json").write_text(json.dumps(names))
        np.save(directory / "image.npy", self.image)
        np.save(directory / "label.npy", self.label)
        named = {key: getattr(self, key) for key in ("network", "learning_rate", "momentum", "threads")}
        return {"do": "start", "directory": str(directory), **named, **self.options}


class PeerProcess:
    """A running peer. What it prints besides its answers is kept for the error message.

    Args:
        name: its short name, for messages.
        command: interpreter and script.
        threads: that its libraries may use; 0 for any number.
    """

    def __init__(self, name: str, command: Sequence[str], threads: int):
        self.name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        # Neither our compilation cache nor our device choice is the peer's.
        environment = {k: v for k, v in os.environ.items() if k not in ("JAX_COMPILATION_CACHE_DIR", "PYTHONPATH")}
        if threads:
            environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment
        )
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._rest = b""

    def ask(self, message: Mapping[str, Any], patience: float = _PATIENCE) -> dict[str, Any]:
        """Sends a message and waits for the answer.

        Raises:
            BenchError: the peer failed, died, or did not answer in time.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise BenchError(261, f"peer {self.name} has died: {self._last_words()}") from error
        answer = json.loads(self._line(patience))
        if "error" in answer:
            raise BenchError(262, f"peer {self.name} cannot {message['do']}: {answer['error']}")
        return answer

    def _line(self, patience: float) -> bytes:
        assert self._process.stdout is not None
        until = time.monotonic() + patience
        while b"\n" not in self._rest:
            if not self._selector.select(max(0.0, until - time.monotonic())):
                raise BenchError(263, f"peer {self.name} has not answered for {patience:.0f} s")
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise BenchError(261, f"peer {self.name} has died: {self._last_words()}")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self._process.wait()}"

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


class Started(NamedTuple):
    """A peer that has built its network and compiled its step."""

    process: PeerProcess
    compile_seconds: float
    versions: dict[str, str]

    def losses(self, steps: int) -> list[float]:
        """Losses of the first steps from the initial weights on."""
        return self.process.ask({"do": "losses", "steps": steps})["losses"]

    def run(self, steps: int) -> float:
        """Seconds of so many steps."""
        return self.process.ask({"do": "run", "steps": steps})["seconds"]

    def again(self, job: Job) -> Started:
        """The same process with other work."""
        with tempfile.TemporaryDirectory() as directory:
            answer = self.process.ask({**PEERS[self.process.name].options, **job.write(Path(directory))})
        return Started(self.process, answer["compile_seconds"], answer["versions"])


@contextlib.contextmanager
def started(name: str, python: Path, job: Job) -> Iterator[Started]:
    """A peer at work on a job; it ends with the block.

    Raises:
        BenchError: it cannot.
    """
    peer = PEERS[name]
    process = PeerProcess(name, [str(python), str(_SCRIPTS / peer.script)], job.threads)
    try:
        with tempfile.TemporaryDirectory() as directory:
            answer = process.ask({**peer.options, **job.write(Path(directory))})
        yield Started(process, answer["compile_seconds"], answer["versions"])
    finally:
        process.close()


def prove_same_work(peer: str, ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Compares the losses of both sides: the first, and those after each of the first updates.

    Returns:
        The proof, for the result.

    Raises:
        BenchError: they differ: a ratio of different work would be no measurement.
    """
    differences = [abs(a - b) / max(abs(a), 1e-9) for a, b in zip(ours, theirs, strict=True)]
    worst = max(differences)
    if not worst <= TOLERANCE:
        raise BenchError(
            264,
            f"{peer} does not do the same work: losses of {_shown(ours)} here and {_shown(theirs)} there differ by "
            f"{worst:.2g}, more than {TOLERANCE:g}",
        )
    return {
        "steps": len(ours) - 1,
        "tolerance": TOLERANCE,
        "difference": float(f"{worst:.3g}"),
        "losses": {"ours": list(ours), "theirs": list(theirs)},
    }


def _shown(losses: Sequence[float]) -> str:
    return ", ".join(f"{loss:.5f}" for loss in losses)
