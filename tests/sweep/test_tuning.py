"""Tuning: which trials follow from which results, and that a sweep which was stopped goes on with the same."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.main import main
from cnn_jax.sweep import cells as cells_module
from cnn_jax.sweep import images as images_module
from cnn_jax.sweep.cells import Cell
from cnn_jax.sweep.rungs import climb, known, read_rungs
from cnn_jax.sweep.search import choice, integers, log_uniform, uniform
from cnn_jax.sweep.tuning import Tuning
from tests.toy import toy_config, toy_dataset

RATE = "optimizer.learning_rate"
EXPERIMENT = """
from ml_collections import ConfigDict
from cnn_jax.sweep.search import choice, log_uniform
from cnn_jax.sweep.space import seeds
from cnn_jax.sweep.tuning import Tuning

dimensions = {"optimizer.learning_rate": log_uniform(1e-3, 1), "model.features": choice((4,), (8, 4))}
tuning = Tuning(dimensions, trials=3, at_a_time=2)

def get_config(arg=""):
    model = dict(name="mlp:4", activation="relu")
    return ConfigDict(dict(model=model, batch_size=16, total_steps=2, data="shapes:tiny", num_devices=1))

def sweep(add):
    for settings in seeds(2):
        add(**settings)
"""


def cells(count: int = 2) -> list[Cell]:
    return [Cell(toy_config(seed=seed), "net", {"seed": seed}) for seed in range(count)]


def finish(workdir: Path, cell: Cell) -> None:
    """The validation error of a bowl with its lowest point at a rate of 0.05; the test split says the contrary."""
    (workdir / cell.id).mkdir(parents=True, exist_ok=True)
    error = min(0.9, 0.1 + 0.2 * abs(math.log10(cell.config.optimizer.learning_rate / 0.05)) + 0.01 * cell.config.seed)
    final = {"validation": {"accuracy": 1 - error}, "test": {"accuracy": error}}
    (workdir / cell.id / "DONE").write_text(json.dumps(final))


def rates(batches: list[list[Cell]]) -> list[float]:
    return list(dict.fromkeys(cell.config.optimizer.learning_rate for batch in batches for cell in batch))


def run(workdir: Path, tuning: Tuning) -> list[list[Cell]]:
    batches = []
    for batch in climb(cells(), tuning, workdir):
        batches.append(batch)
        for cell in batch:
            finish(workdir, cell)
    return batches


def test_later_trials_come_near_to_the_best(tmp_path):
    batches = run(tmp_path, Tuning({RATE: log_uniform(1e-5, 10)}, 61, at_a_time=3))
    assert [len(batch) for batch in batches] == [6] * 20 + [2]
    for batch in batches:
        assert [cell.config.seed for cell in batch] == [0, 1] * (len(batch) // 2)
    found = rates(batches)
    assert len(found) == 61
    # Drawn evenly over six decades, a tenth of them would be so near; of 40, ten or more with a chance of 0.5%.
    assert sum(abs(math.log10(rate / 0.05)) < 0.3 for rate in found[-40:]) >= 10


def test_the_same_results_lead_to_the_same_trials_wherever_it_was_stopped(tmp_path):
    tuning = Tuning({RATE: log_uniform(1e-4, 1)}, 14, at_a_time=3)
    whole = run(tmp_path / "whole", tuning)
    stopped = tmp_path / "stopped"
    for i, batch in enumerate(climb(cells(), tuning, stopped)):
        for cell in batch[: 3 if i == 3 else None]:
            finish(stopped, cell)
        if i == 3:
            break
    assert [cell.id for cell in known(cells(), tuning, stopped)] == [cell.id for batch in whole[:4] for cell in batch]
    assert rates(run(stopped, tuning)) == rates(whole)
    assert rates(run(tmp_path / "other", tuning._replace(seed=1))) != rates(whole)


def test_every_kind_of_dimension(tmp_path):
    dimensions = {
        "model.dropout": uniform(0.1, 0.5),
        "batch_size": integers(8, 16),
        "model.features": choice((4,), (8, 4)),
        "augment": choice((), ("flip",)),
    }
    batches = run(tmp_path, Tuning(dimensions, 12))
    seen = [cell for batch in batches for cell in batch]
    assert {cell.settings["model.features"] for cell in seen} == {(4,), (8, 4)}
    assert {tuple(cell.config.augment) for cell in seen} == {(), ("flip",)}
    assert all(8 <= cell.config.batch_size <= 16 and 0.1 <= cell.config.model.dropout <= 0.5 for cell in seen)


def test_a_trial_without_results_is_a_bad_one_and_is_not_waited_for(tmp_path):
    batches = list(climb(cells(), Tuning({RATE: log_uniform(1e-4, 1)}, 8), tmp_path))
    assert [len(batch) for batch in batches] == [8, 8]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tuning = Tuning({}, 3)", "distributions of"),
        ("tuning = Tuning({'seed': 3}, 3)", "distributions of"),
        ("tuning = Tuning({'batch_size': integers(1, 3)}, 0)", "at least one trial"),
        ("tuning = 3", "is a int"),
        (
            "tuning = Tuning({'seed': integers(1, 3)}, 3); halving = Halving('total_steps', 1)",
            "both halving and tuning",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, text, words):
    file = tmp_path / "experiment.py"
    imports = ("halving import Halving", "search import integers", "tuning import Tuning")
    file.write_text("".join(f"from cnn_jax.sweep.{line}\n" for line in imports) + text)
    with pytest.raises(ConfigError, match=words):
        read_rungs(file)


def test_a_key_of_the_sweep_cannot_be_searched(tmp_path):
    with pytest.raises(ConfigError, match="the sweep sets seed itself"):
        next(climb(cells(), Tuning({"seed": integers(1, 3)}, 3), tmp_path))


def test_a_sweep_is_tuned_and_a_second_launch_runs_nothing(tmp_path, capsys, monkeypatch):
    dataset = toy_dataset(size=32)
    for module in (cells_module, images_module):
        monkeypatch.setattr(module, "load_config_data", lambda config: dataset)
    file = tmp_path / "experiment.py"
    file.write_text(EXPERIMENT)
    command = ["sweep", f"--experiment={file}", f"--workdir={tmp_path / 'w'}"]
    assert main([*command, "--dry_run"]) == 0
    assert "these are the first trials; 1 more follow from their results" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["cells"]
    assert len(rows) == 6
    assert [row["seed"] for row in rows] == [0, 1] * 3
    assert len({row["settings"][RATE] for row in rows}) == 3
    (tmp_path / "w" / "manifest.jsonl").unlink()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == rows
    assert not (tmp_path / "w" / "manifest.jsonl").exists()
