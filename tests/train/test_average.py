"""Averages of the weights, by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config import resolve
from cnn_jax.evaluate import load
from cnn_jax.train.average import make_average
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.judge import better
from cnn_jax.train.loop import train
from tests.toy import toy_config, toy_dataset

WEIGHTS = [3.0, 5.0, -1.0, 4.0, 8.0]


def averages(**keys):
    config = resolve({"total_steps": len(WEIGHTS)} | {f"average.{key}": value for key, value in keys.items()})
    update = make_average(config.average, len(WEIGHTS))
    assert update is not None
    average, found = {"w": jnp.float32(100.0)}, []
    for step, weight in enumerate(WEIGHTS, 1):
        average = update(average, {"w": jnp.float32(weight)}, jnp.int32(step))
        found.append(float(average["w"]))
    return found


def test_polyak_is_the_mean_of_all_weights():
    expected = [np.mean(WEIGHTS[: n + 1]) for n in range(len(WEIGHTS))]
    np.testing.assert_allclose(averages(name="polyak"), expected, rtol=1e-6)


def test_polyak_from_a_later_start():
    """From 0.4 of five steps on: until step 2 the weights themselves, then the mean of those after it."""
    np.testing.assert_allclose(averages(name="polyak", start=0.4), [3, 5, -1, 1.5, 11 / 3], rtol=1e-6)


def test_ema_by_hand():
    """The decay grows as (1 + n) / (10 + n), up to 0.25 here."""
    average, expected = 100.0, []
    for n, weight in enumerate(WEIGHTS, 1):
        decay = min(0.25, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * weight
        expected.append(average)
    np.testing.assert_allclose(averages(name="ema", decay=0.25), expected, rtol=1e-6)


def test_no_average():
    assert make_average(resolve({"total_steps": 5}).average, 5) is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("average") / "run"
    config = toy_config(
        average__name="polyak", augment=(), model__name="lenet:small,norm=batch,features=(2),kernel_size=3"
    )
    train(config, workdir, dataset=toy_dataset(), progress=False)
    return workdir


def test_the_average_is_what_is_evaluated_and_loaded(finished):
    """Both the raw and the averaged variables are in the checkpoint, statistics too; `load` takes the averaged ones."""
    run = load(finished, step="latest")
    program = build(run.config, DataSpec.of(toy_dataset()))
    like = program.abstract_state
    state, checkpoint = Checkpoints(finished / "checkpoints", better).restore("latest", like)
    loaded, averaged, raw = (jax.tree.leaves(v) for v in (run.variables, state.average, state.variables))
    for ours, theirs in zip(loaded, averaged, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert any(np.any(ours != theirs) for ours, theirs in zip(loaded, raw, strict=True))
    assert "batch_stats" in state.average
    assert checkpoint.meta["validation"] == run.evaluate("validation", toy_dataset())
