"""Runs computed together: each is the run alone, whichever way they are computed and wherever they are stopped."""

from __future__ import annotations

import json
import os
import shutil

import jax
import numpy as np
import pytest

from cnn_jax.errors import ConfigError, DivergedError, Preempted
from cnn_jax.evaluate import load
from cnn_jax.train import train
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.population import Member, train_population
from cnn_jax.train.progress import Silence
from cnn_jax.train.together import WAYS
from tests.battery.harness import digest
from tests.toy import toy_config, toy_dataset

pytestmark = pytest.mark.slow

# Statistics, dropout, augmentation, an average and a cut of the rate: all that has a state or draws.
BASE = {
    "model__name": "lenet:small,norm=batch,dropout=0.3,features=(4),kernel_size=3,head_features=(8)",
    "total_steps": 20,
    "eval_every": 5,
    "checkpoint_every": 5,
    "optimizer__weight_decay": 1e-3,
    "average__name": "ema",
    "schedule__name": "plateau",
    "schedule__patience": 1,
    "schedule__factor": 0.5,
}
CHANGES = (
    {"seed": 1},
    {"seed": 2, "optimizer__learning_rate": 0.01},
    {"seed": 1, "optimizer__weight_decay": 0.1},
    {"seed": 3, "average__decay": 0.5},
)


@pytest.fixture(scope="module")
def dataset():
    return toy_dataset(size=12)


def members_in(folder, changes=CHANGES, **more):
    return [
        Member(toy_config(**{**BASE, **change, **more}), folder / str(i), Silence()) for i, change in enumerate(changes)
    ]


@pytest.fixture(scope="module")
def alone(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    for member in members_in(folder):
        train(member.config, member.workdir, dataset=dataset, progress=False)
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_members_are_the_runs_alone(way, alone, dataset, tmp_path):
    outcomes = train_population(members_in(tmp_path), dataset=dataset, way=way)
    for i, outcome in enumerate(outcomes):
        assert isinstance(outcome, dict)
        ours, theirs = load(tmp_path / str(i)), load(alone / str(i))
        assert ours.step == theirs.step
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours.variables, theirs.variables)
        lines = [read_metrics(folder / str(i)) for folder in (tmp_path, alone)]
        assert len(lines[0]) == len(lines[1])
        for a, b in zip(*lines, strict=True):
            assert a.keys() == b.keys()
            for name in ("step", "split", "epoch", "n", "learning_rate"):
                assert a.get(name) == b.get(name)
            assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)
        assert outcome["test"]["n"] == 47
    losses = {read_metrics(tmp_path / str(i))[0]["loss"] for i in range(len(CHANGES))}
    assert len(losses) == len(CHANGES), "each has an order, a start or a rate of its own"


def test_on_one_device_they_are_the_runs_alone_to_the_bit(alone, dataset, tmp_path, monkeypatch):
    first = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: first)
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    train_population(members_in(tmp_path), dataset=dataset, way="calls")
    for i in range(len(CHANGES)):
        lines = [read_metrics(folder / str(i)) for folder in (tmp_path, alone)]
        assert [{**line, "images_per_second": 0} for line in lines[0]] == [
            {**line, "images_per_second": 0} for line in lines[1]
        ]
        ours, theirs = load(tmp_path / str(i)), load(alone / str(i))
        jax.tree.map(np.testing.assert_array_equal, ours.variables, theirs.variables)


def test_one_that_diverges_does_not_touch_the_others(alone, dataset, tmp_path):
    changes = (*CHANGES[:2], {"seed": 5, "optimizer__learning_rate": 1e20}, CHANGES[2])
    for way in ("calls", "vmap of products"):
        folder = tmp_path / way
        outcomes = train_population(members_in(folder, changes), dataset=dataset, way=way)
        assert isinstance(outcomes[2], DivergedError)
        assert not (folder / "2" / "DONE").exists()
        for ours, theirs in ((0, 0), (1, 1), (3, 2)):
            found, expected = load(folder / str(ours)), load(alone / str(theirs))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found.variables, expected.variables)


@pytest.mark.parametrize("way", ["calls", "vmap of products"])
def test_stopped_and_resumed_is_the_same_to_the_bit(way, dataset, tmp_path):
    train_population(members_in(tmp_path / "straight"), dataset=dataset, way=way)
    for stop in (3, 12):
        with pytest.raises(Preempted):
            train_population(members_in(tmp_path / "stopped"), dataset=dataset, way=way, stop_at=stop)
    # Killed while the members were saved: the third has not got as far as the others.
    shutil.rmtree(max((tmp_path / "stopped" / "2" / "checkpoints").glob("[0-9]*")))
    train_population(members_in(tmp_path / "stopped"), dataset=dataset)
    for i in range(len(CHANGES)):
        assert digest(tmp_path / "stopped" / str(i)) == digest(tmp_path / "straight" / str(i))


def test_what_is_done_stays_and_what_only_lacks_its_end_is_ended(dataset, tmp_path):
    members = members_in(tmp_path)
    first = train_population(members, dataset=dataset, way="calls")
    before = [(member.workdir / "DONE").stat().st_mtime_ns for member in members]
    (tmp_path / "1" / "DONE").unlink()
    again = train_population(members, dataset=dataset)
    assert [json.loads(json.dumps(a)) == b for a, b in zip(again, first, strict=True)].count(True) >= 3
    after = [(member.workdir / "DONE").stat().st_mtime_ns for member in members]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True, True]
    assert again[1]["test"] == first[1]["test"]  # type: ignore[index]


def test_early_stopping_ends_one_and_not_the_others(dataset, tmp_path):
    more = {"early_stopping": 1, "total_steps": 40, "average__name": "none", "model__name": "linear:small"}
    changes = [{"seed": seed, "optimizer__learning_rate": rate} for seed, rate in ((1, 1e-6), (2, 0.05), (3, 0.02))]
    outcomes = train_population(members_in(tmp_path, changes, **more), dataset=dataset, way="vmap of products")
    for outcome, change in zip(outcomes, changes, strict=True):
        assert isinstance(outcome, dict)
        config = toy_config(**{**BASE, **change, **more})
        single = train(config, tmp_path / f"alone{change['seed']}", dataset=dataset, progress=False)
        assert (outcome["step"], outcome["ended"]) == (single["step"], single["ended"])
    assert len({outcome["step"] for outcome in outcomes}) > 1  # type: ignore[index]


def test_members_that_cannot_share_a_program_are_refused(dataset, tmp_path):
    with pytest.raises(ConfigError, match="may differ in"):
        train_population(members_in(tmp_path, ({"seed": 1}, {"batch_size": 16})), dataset=dataset)
    one = members_in(tmp_path)[0]
    with pytest.raises(ConfigError, match="have one workdir"):
        train_population([one, one], dataset=dataset)
