"""Successive halving: which arms go on, at which budget, by which error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.main import main
from cnn_jax.sweep import cells as cells_module
from cnn_jax.sweep import images as images_module
from cnn_jax.sweep.cells import Cell
from cnn_jax.sweep.halving import Halving
from cnn_jax.sweep.rungs import climb, read_rungs
from tests.toy import toy_config, toy_dataset

EXPERIMENT = """
from ml_collections import ConfigDict
from cnn_jax.sweep.halving import Halving
from cnn_jax.sweep.space import axis

halving = Halving("total_steps", start=2, factor=2, rungs=2)

def get_config(arg=""):
    model = dict(name="mlp:4", activation="relu")
    return ConfigDict(dict(model=model, batch_size=16, total_epochs=9, data="shapes:tiny", num_devices=1))

def sweep(add):
    for settings in axis("optimizer.learning_rate", (1e-5, 0.1, 1e20)):
        add(**settings)
"""


def made(arms: int, seeds: int) -> list[Cell]:
    return [
        Cell(toy_config(seed=seed, **{"optimizer.learning_rate": rate}), f"{rate}", {"rate": rate, "seed": seed})
        for rate in range(1, arms + 1)
        for seed in range(seeds)
    ]


def finish(workdir: Path, cell: Cell, error: float) -> None:
    (workdir / cell.id).mkdir(parents=True)
    final = {"validation": {"accuracy": 1 - error}, "test": {"accuracy": error}}  # the test split says the contrary
    (workdir / cell.id / "DONE").write_text(json.dumps(final))


def test_arms_fall_and_budgets_grow_by_the_factor(tmp_path):
    seen = []
    for rung in climb(made(9, 2), Halving("total_steps", 10, 3, 3), tmp_path):
        seen.append([(cell.settings["rate"], cell.config.seed, cell.config.total_steps) for cell in rung])
        for cell in rung:
            finish(tmp_path, cell, 0.1 * abs(cell.settings["rate"] - 7) + 0.01 * cell.config.seed)
    assert seen[0] == [(rate, seed, 10) for rate in range(1, 10) for seed in (0, 1)]
    assert {(rate, seed) for rate, seed, _ in seen[1]} == {(rate, seed) for rate in (6, 7, 8) for seed in (0, 1)}
    assert {steps for *_, steps in seen[1]} == {30}
    assert seen[2] == [(7, 0, 90), (7, 1, 90)]


def test_arms_that_failed_fall_and_without_any_there_is_no_next_rung(tmp_path):
    rungs = climb(made(4, 1), Halving("total_steps", 10, 2, 2), tmp_path)
    finish(tmp_path, next(rungs)[2], 0.9)
    assert [cell.settings["rate"] for cell in next(rungs)] == [3]
    rungs = climb(made(4, 1), Halving("total_steps", 20, 2, 2), tmp_path)
    next(rungs)
    with pytest.raises(ConfigError, match="no cell of rung 1"):
        next(rungs)


def test_without_halving_all_cells_are_one_rung(tmp_path):
    cells = made(2, 2)
    assert list(climb(cells, None, tmp_path)) == [cells]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"total_steps", 1, 3, 2', None),
        ('"batch_size", 1', "a key of"),
        ('"total_steps", 1, 1', "a factor of at least 2"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, text, words):
    file = tmp_path / "experiment.py"
    file.write_text(f"from cnn_jax.sweep.halving import Halving\nhalving = Halving({text})\n")
    if words is None:
        assert read_rungs(file) == Halving("total_steps", 1, 3, 2)
    else:
        with pytest.raises(ConfigError, match=words):
            read_rungs(file)
    file.write_text("halving = 3\n")
    with pytest.raises(ConfigError, match="is a int"):
        read_rungs(file)


@pytest.mark.slow
def test_a_sweep_halves_and_a_second_launch_runs_nothing(tmp_path, capsys, monkeypatch):
    dataset = toy_dataset(size=32)
    for module in (cells_module, images_module):
        monkeypatch.setattr(module, "load_config_data", lambda config: dataset)
    file = tmp_path / "experiment.py"
    file.write_text(EXPERIMENT)
    command = ["sweep", f"--experiment={file}", f"--workdir={tmp_path / 'w'}"]
    assert main([*command, "--dry_run"]) == 0
    assert "the best 1/2 of each go on at total_steps=4" in capsys.readouterr().out
    assert main([*command, "--json"]) == 1  # the rate of 1e20 diverges
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["settings"]["total_steps"] for cell in cells] == [2, 2, 2, 4]
    assert [cell["status"] for cell in cells] == ["done", "done", "failed", "done"]
    best = min(cells[:2], key=lambda cell: cell["validation_error"])
    assert cells[3]["settings"]["optimizer.learning_rate"] == best["settings"]["optimizer.learning_rate"]
    assert cells[3]["steps"] == 4
    main([*command, "--json"])
    notes = (tmp_path / "w" / "manifest.jsonl").read_text().splitlines()
    statuses = [json.loads(line)["status"] for line in notes]
    assert statuses == ["done", "done", "failed", "done", "failed"], "only what failed is tried again"
