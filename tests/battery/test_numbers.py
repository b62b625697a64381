"""Infinity and NaN stop a run at once and leave the last finite checkpoint; equal runs are equal."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import DivergedError
from cnn_jax.train import build as build_module
from cnn_jax.train import epoch, train
from tests.battery.harness import Trial, digest
from tests.toy import toy_config, toy_dataset

pytestmark = pytest.mark.slow


def _poisoned(step_function, where: str, value: float):
    """The training step, with a value that is not finite put somewhere at step 7."""

    def step(state, batch, **kwargs):
        new, metrics = step_function(state, batch, **kwargs)
        bad = jnp.where(state.step == 7, jnp.float32(value), jnp.float32(0))

        def first(tree):
            leaves, structure = jax.tree.flatten(tree)
            leaves[0] = leaves[0] + bad
            return jax.tree.unflatten(structure, leaves)

        if where == "loss":
            return new, {**metrics, "loss": metrics["loss"] + bad}
        if where == "gradient":
            return new, {**metrics, "grad_norm": metrics["grad_norm"] + bad}
        return dataclasses.replace(new, **{where: first(getattr(new, where))}), metrics

    return step


@pytest.mark.parametrize(
    ("where", "value"), [("loss", np.inf), ("gradient", np.nan), ("params", np.inf), ("model_state", np.nan)]
)
def test_a_value_that_is_not_finite(where, value, tmp_path, monkeypatch):
    monkeypatch.setattr(epoch, "train_step", _poisoned(epoch.train_step, where, value))
    build_module._build.cache_clear()
    config = toy_config(model__name="lenet:small,norm=batch", checkpoint_every=2, eval_every=4, total_steps=12)
    with pytest.raises(DivergedError) as caught:
        train(config, tmp_path, dataset=toy_dataset(size=32), progress=False)
    build_module._build.cache_clear()
    assert "\n" not in str(caught.value)
    kept = [int(path.name) for path in (tmp_path / "checkpoints").glob("[0-9]*")]
    assert max(kept) <= 7
    assert max(kept) >= 6
    assert not (tmp_path / "DONE").exists()
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) <= 8


def test_a_learning_rate_of_1e20(tmp_path):
    config = toy_config(
        optimizer__learning_rate=1e20,
        model__name="lenet:small",
        model__activation="leaky_relu",
        schedule__name="constant",
    )
    with pytest.raises(DivergedError, match=r"learning rate 1e\+20"):
        train(config, tmp_path, dataset=toy_dataset(size=32), progress=False)


def test_the_same_run_again(trial: Trial, expected, repeats, tmp_path: Path):
    for i in repeats(2, 20):
        ended = trial.train(tmp_path / str(i), PYTHONHASHSEED=str(i))
        assert ended.status == 0, ended.output
        assert digest(tmp_path / str(i)) == expected
