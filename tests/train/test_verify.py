"""`verify-resume` on a network that uses what a recipe can hold, and on a run that does not resume exactly."""

from __future__ import annotations

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.main import main
from cnn_jax.train import start
from cnn_jax.train.verify import compare, spread, verify_resume
from tests.toy import toy_config, toy_dataset

# Plateau, EMA, accumulation, dropout, augmentation, batch norm, decoupled decay, groups, clipping, aux losses apart.
EVERYTHING = {
    "model__name": "lenet:small,norm=batch,dropout=0.5,features=(4),kernel_size=3,head_features=(16)",
    "schedule__name": "plateau",
    "schedule__patience": 1,
    "schedule__factor": 0.5,
    "schedule__warmup_steps": 3,
    "average__name": "ema",
    "average__decay": 0.9,
    "accumulate": 4,
    "label_smoothing": 0.1,
    "optimizer__name": "adam",
    "optimizer__decay_form": "decoupled",
    "optimizer__weight_decay": 0.01,
    "optimizer__clip_norm": 1.0,
    "optimizer__groups.fc1": 0.5,
}


@pytest.mark.slow
def test_a_recipe_with_everything_resumes_bit_for_bit():
    told = []
    found = verify_resume(
        toy_config(**EVERYTHING), steps=12, stops=(1, 5, 8), dataset=toy_dataset(size=12), tell=told.append
    )
    assert found.differences == []
    assert found.stops == (1, 5, 8)
    assert found.leaves > 30
    assert told[1:] == [f"stopped at {stop}: identical" for stop in (1, 5, 8)]


@pytest.mark.slow
def test_a_run_that_depends_on_where_it_was_stopped_is_found_out(monkeypatch):
    """A source of randomness outside the state: each start draws another key."""
    starts = iter(range(100))
    honest = start.fresh_state

    def dishonest(*args):
        state = honest(*args)
        return dataclasses.replace(state, params={**state.params, "fc1": _shifted(state.params["fc1"], next(starts))})

    def _shifted(layer, by):
        return {**layer, "bias": layer["bias"] + 1e-3 * by}

    monkeypatch.setattr("cnn_jax.train.run.fresh_state", dishonest)
    found = verify_resume(toy_config(model__name="mlp:8"), steps=6, stops=(2,), dataset=toy_dataset())
    leaves = {difference.what for difference in found.differences}
    assert "params.fc1.bias" in leaves
    assert "params.fc1.kernel" in leaves
    assert any(what.startswith("metrics: step") for what in leaves)
    assert "stopped at 2: params.fc1.bias" in "\n".join(map(str, found.differences))


def test_a_single_bit_is_a_difference():
    a = {"x": jnp.asarray([0.0, 1.0, jnp.nan]), "n": jnp.int32(3)}
    assert compare(4, a, a) == []
    assert [d.what for d in compare(4, a, a | {"x": jnp.asarray([-0.0, 1.0, jnp.nan])})] == ["x"]
    (difference,) = compare(4, a, a | {"x": jnp.asarray([0.0, np.nextafter(np.float32(1), 2), jnp.nan])})
    assert (difference.stop, difference.values) == (4, 1)
    assert [d.what for d in compare(4, a, a | {"n": jnp.int32(4)})] == ["n"]


def test_stops_are_spread_and_checked():
    assert spread(20, 3) == (5, 10, 15)
    assert spread(3, 10) == (1, 2)
    for stops in ((0,), (12,), 0):
        with pytest.raises(ConfigError, match="1 to 11"):
            verify_resume(toy_config(), steps=12, stops=stops, dataset=toy_dataset())


@pytest.mark.parametrize("differ", [False, True])
def test_the_command_says_so_by_its_status(differ, monkeypatch, tmp_path, capsys):
    file = tmp_path / "config.py"
    file.write_text(
        "def get_config(arg=''):\n"
        "    return {'model': {'name': 'mlp:8'}, 'batch_size': 32, 'total_steps': 1000, 'num_devices': 1}\n"
    )
    monkeypatch.setattr("cnn_jax.train.verify.load_config_data", lambda config: toy_dataset())
    if differ:
        starts = iter(range(100))
        honest = start.fresh_state
        monkeypatch.setattr(
            "cnn_jax.train.run.fresh_state",
            lambda *args: dataclasses.replace(honest(*args), step=jnp.int32(next(starts) % 2)),
        )
    status = main(["verify-resume", f"--config={file}", "--steps=6", "--stops=1", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert status == (4 if differ else 0)
    assert printed["identical"] is not differ
    assert bool(printed["differences"]) is differ
