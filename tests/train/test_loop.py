"""The training loop: it learns, it resumes bit for bit, it refuses what it must."""

from __future__ import annotations

import json
import os
import signal

import jax
import numpy as np
import pytest

from cnn_jax.errors import CheckpointError, ConfigError, DivergedError, GeometryError, Preempted
from cnn_jax.evaluate import load
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.loop import train
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.progress import Silence
from tests.toy import toy_config, toy_dataset


@pytest.fixture(scope="module")
def dataset():
    return toy_dataset()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, dataset):
    workdir = tmp_path_factory.mktemp("straight") / "run"
    train(toy_config(), workdir, dataset=dataset, progress=False)
    return workdir


class StopAt(Silence):
    """Sends this process a signal once a step has been made."""

    def __init__(self, step: int, number: int):
        self._step, self._number = step, number

    def advance(self, step, seconds, steps, train):
        if step >= self._step:
            os.kill(os.getpid(), self._number)


def assert_same(ours, theirs):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs) > 2
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def numbers(workdir):
    """The metrics without the clock."""
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in read_metrics(workdir)]


def test_it_learns_and_leaves_a_workdir(finished, dataset):
    names = {path.name for path in finished.iterdir()}
    assert {"config.json", "metrics.jsonl", "environment.json", "dataset.json", "checkpoints", "DONE"} <= names
    assert any(name.startswith("events.") for name in names)
    done = json.loads((finished / "DONE").read_text())
    assert done["step"] == 12
    assert done["test"]["n"] == 47
    assert done["test"]["accuracy"] > 0.9
    assert done["test"] == pytest.approx(load(finished, step="best").evaluate("test", dataset))


def test_metrics_are_logged_once_a_step(finished):
    lines = [(line["step"], line["split"]) for line in read_metrics(finished)]
    assert lines == [
        (4, "train"), (6, "validation"), (8, "train"), (12, "train"), (12, "validation"), (12, "test"),
    ]  # fmt: skip


@pytest.mark.parametrize(("step", "number"), [(1, signal.SIGINT), (5, signal.SIGTERM), (7, signal.SIGINT)])
def test_stopped_and_resumed_is_the_same_run_bit_for_bit(finished, dataset, tmp_path, step, number):
    with pytest.raises(Preempted, match="the same command"):
        train(toy_config(), tmp_path / "run", dataset=dataset, progress=StopAt(step, number))
    assert not (tmp_path / "run" / "DONE").exists()
    train(toy_config(), tmp_path / "run", dataset=dataset, progress=False)
    assert_same(load(tmp_path / "run", step=12).variables, load(finished, step=12).variables)
    assert numbers(tmp_path / "run") == numbers(finished)


def test_killed_without_warning_resumes_from_the_last_checkpoint(finished, dataset, tmp_path):
    class Killed(BaseException):
        pass

    class KillAt(Silence):
        def advance(self, step, seconds, steps, train):
            if step >= 8:
                raise Killed

    with pytest.raises(Killed):
        train(toy_config(), tmp_path / "run", dataset=dataset, progress=KillAt())
    train(toy_config(), tmp_path / "run", dataset=dataset, progress=False)
    assert_same(load(tmp_path / "run", step=12).variables, load(finished, step=12).variables)
    assert numbers(tmp_path / "run") == numbers(finished)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet:small,depth=8,width=0.25", "alexnet:small,width=0.125,dropout=0.5"])
def test_networks_with_statistics_and_dropout_resume_bit_for_bit(name, tmp_path):
    dataset = toy_dataset(train=40, size=32)
    config = toy_config(model__name=name, total_steps=6, batch_size=16, log_every=2)
    train(config, tmp_path / "straight", dataset=dataset, progress=False)
    with pytest.raises(Preempted):
        train(config, tmp_path / "cut", dataset=dataset, progress=StopAt(3, signal.SIGINT))
    train(config, tmp_path / "cut", dataset=dataset, progress=False)
    assert_same(load(tmp_path / "cut", step=6).variables, load(tmp_path / "straight", step=6).variables)
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "straight")


def test_a_run_is_one_compiled_program(dataset, tmp_path):
    """Calls of any length, resumed or not, run the same code: nothing is compiled a second time."""
    config = toy_config(seed=77)
    train(config, tmp_path / "run", dataset=dataset, progress=False)
    program = build(config, DataSpec.of(dataset))
    assert program.run_steps._cache_size() == 1  # type: ignore[attr-defined]


def test_a_finished_run_is_left_alone(finished, dataset):
    before = (finished / "metrics.jsonl").read_bytes()
    assert train(toy_config(), finished, dataset=dataset, progress=False) == json.loads((finished / "DONE").read_text())
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_another_config_is_refused_and_the_difference_shown(finished, dataset):
    with pytest.raises(ConfigError, match=r"seed: 1, not 0"):
        train(toy_config(seed=1), finished, dataset=dataset, progress=False)


def test_the_seed_matters(finished, dataset, tmp_path):
    train(toy_config(seed=1), tmp_path / "run", dataset=dataset, progress=False)
    with pytest.raises(AssertionError):
        assert_same(load(tmp_path / "run").variables, load(finished).variables)


@pytest.mark.slow
def test_pmap_equals_jit(dataset, tmp_path):
    changes = {"num_devices": 4, "total_steps": 4, "model__name": "mlp:8"}
    for parallel in ("jit", "pmap"):
        train(toy_config(parallel=parallel, **changes), tmp_path / parallel, dataset=dataset, progress=False)
    train(toy_config(**{**changes, "num_devices": 1}), tmp_path / "one", dataset=dataset, progress=False)
    one = jax.tree.leaves(load(tmp_path / "one").variables)
    for parallel in ("jit", "pmap"):
        for a, b in zip(jax.tree.leaves(load(tmp_path / parallel).variables), one, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_divergence_is_named_and_keeps_the_last_finite_checkpoint(dataset, tmp_path):
    with pytest.raises(DivergedError, match=r"at step \d+ \(learning rate 1e\+20\)") as diverged:
        train(
            toy_config(
                model__name="mlp:8,activation=relu",
                optimizer__learning_rate=1e20,
                schedule__name="constant",
                checkpoint_every=1,
            ),
            tmp_path / "run",
            dataset=dataset,
            progress=False,
        )
    assert diverged.value.exit_status == 5
    for path in sorted((tmp_path / "run" / "checkpoints").glob("[0-9]*")):
        state = load(tmp_path / "run", step=int(path.name))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.variables))


def test_nothing_is_written_when_the_network_cannot_take_the_images(dataset, tmp_path):
    with pytest.raises(GeometryError, match="layer"):
        train(toy_config(model__name="vgg:D"), tmp_path / "run", dataset=dataset, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_data_is_refused(dataset, tmp_path):
    with pytest.raises(ConfigError, match="more than the 150 training images"):
        train(toy_config(batch_size=151), tmp_path / "run", dataset=dataset, progress=False)


def test_a_workdir_that_cannot_be_written_is_named(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write to workdir"):
        train(toy_config(), tmp_path / "file" / "run", dataset=dataset, progress=False)
