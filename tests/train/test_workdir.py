"""What a run records of where it came from."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from cnn_jax.train import workdir

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository whose package is the one that runs."""
    module = tmp_path / "cnn_jax" / "train" / "workdir.py"
    module.parent.mkdir(parents=True)
    module.write_text("first = 1\n")
    monkeypatch.setattr(workdir, "__file__", str(module))
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=first")
    return tmp_path


def test_a_commit_is_named_and_a_change_marked(checkout):
    commit = _git(checkout, "rev-parse", "HEAD")
    assert workdir.source_commit() == commit
    (checkout / "cnn_jax" / "new.py").touch()
    assert workdir.source_commit() == commit + "+"


def test_results_do_not_change_what_runs(checkout):
    """Else the second of two benchmarks that are to be committed would have no commit to name."""
    results = checkout / "experiments" / "results"
    results.mkdir(parents=True)
    (results / "C1.json").write_text("{}")
    assert workdir.source_commit() == _git(checkout, "rev-parse", "HEAD")
    (results.parent / "mine.py").touch()
    assert str(workdir.source_commit()).endswith("+")


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(workdir, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert workdir.source_commit() is None


def _git(directory, *arguments):
    done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
