"""A disk that is full, read-only or not ours: the last checkpoint stays, and one line says what is needed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.battery.harness import Trial, digest

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own; only root may mount one."""
    point = tmp_path / "disk"
    point.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(point)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield point
    subprocess.run(["umount", "--lazy", str(point)], check=True)


def _remount(point: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(point)], check=True)


def test_full_disk(trial: Trial, expected, disk: Path, repeats):
    for i in repeats(2, 20):
        _remount(disk, "size=4m")
        workdir = disk / str(i)
        filler = disk / "filler"
        filler.write_bytes(bytes(random.Random(i).randrange(1_500_000, 3_900_000)))
        ended = trial.train(workdir)
        if ended.status:
            assert ended.status == 4, ended
            line = ended.output.strip().splitlines()[-1]
            # Before anything is computed, or where a file did not fit after all.
            assert "free and the checkpoints need" in line or "No space left" in line, ended.output
            assert line.startswith("cnn-jax: E-CKPT"), ended.output
            _remount(disk, "size=64m")
            assert trial.train(workdir).status == 0
        assert digest(workdir) == expected
        shutil.rmtree(workdir)


def test_read_only_disk(trial: Trial, expected, disk: Path, repeats):
    for i in repeats(2, 20):
        _remount(disk, "size=64m")
        workdir = disk / str(i)
        if i % 2:
            workdir.mkdir()
        _remount(disk, "ro")
        ended = trial.train(workdir)
        assert ended.status == 4, ended
        assert "Read-only" in ended.output.strip().splitlines()[-1], ended.output
        _remount(disk, "rw")


def test_no_permission(trial: Trial, tmp_path: Path, repeats):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    for i in repeats(2, 20):
        workdir = tmp_path / str(i)
        workdir.mkdir(mode=0o500)
        ended = trial.train(workdir)
        assert ended.status == 4
        assert "Permission denied" in ended.output
