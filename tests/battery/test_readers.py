"""Processes that read data: however many there are, the run is the same; one that fails is named, and nothing hangs."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.battery.child import Fault
from tests.battery.harness import Ended, Trial, children_environment, digest

pytestmark = pytest.mark.slow

STEPS = 100


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("readers") / "images"
    noise = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(noise.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def _train(trial: Trial, workdir: Path, images: Path, workers: int, fault: Fault | None = None) -> Ended:
    return trial.train(
        workdir,
        f"data=folder:{images}",
        "input=stream",
        f"workers={workers}",
        f"total_steps={STEPS}",
        "checkpoint_every=10",
        "eval_every=50",
        fault=fault,
    )


@pytest.fixture(scope="module")
def alone(images: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the run that reads by itself."""
    folder = tmp_path_factory.mktemp("alone")
    trial = Trial(folder, children_environment(shared / "cache"))
    ended = _train(trial, folder / "run", images, 0)
    assert ended.status == 0, ended.output
    return digest(folder / "run")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_a_reader_that_fails_is_named_within_thirty_seconds(trial, alone, images, repeats, tmp_path, number):
    for i in repeats(1, 10 if number == signal.SIGSTOP else 15):
        draw = random.Random(f"{number}{i}")
        workdir = tmp_path / str(i)
        fault = Fault("log", entry=draw.randrange(30), delay=draw.uniform(0, 0.01), number=number, reader=True)
        ended = _train(trial, workdir, images, 2, fault)
        # Where everything was read ahead when it struck, nobody misses the reader.
        assert ended.status in (3, 0), ended
        if ended.status:
            assert ended.after_fault is not None
            assert ended.after_fault < 30
            line = ended.output.strip().splitlines()[-1]
            assert line.startswith("cnn-jax: E-DATA-14"), ended.output
            assert "the same command goes on" in line
            assert "Traceback" not in ended.output
            assert _train(trial, workdir, images, 1).status == 0
        assert digest(workdir) == alone, fault


def test_any_number_of_readers(trial, alone, images, repeats, tmp_path):
    for i in repeats(2, 10):
        ended = _train(trial, tmp_path / str(i), images, 1 + i % 3)
        assert ended.status == 0, ended.output
        assert digest(tmp_path / str(i)) == alone
