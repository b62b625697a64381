"""The history: its cells, what is kept, what is run again, and the document it leaves."""

from __future__ import annotations

import json

import pytest

from cnn_jax.errors import ConfigError, Preempted
from cnn_jax.main import main
from cnn_jax.sweep import cells as cells_module
from cnn_jax.sweep import history
from cnn_jax.sweep.cells import Cell, last_notes, run_cells
from cnn_jax.sweep.history import NETWORKS, PRESETS, cells
from cnn_jax.sweep.lease import only_one
from cnn_jax.train.progress import Silence
from tests.toy import toy_config, toy_dataset


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    dataset = toy_dataset(size=32)
    monkeypatch.setattr(cells_module, "load_config_data", lambda config: dataset)


def run(workdir, seeds=(0, 1), **changes):
    made = [Cell(toy_config(seed=seed, **changes), f"MLP seed {seed}") for seed in seeds]
    return [(cell.config.seed, outcome) for cell, outcome in run_cells(made, workdir, lambda cell: Silence())]


@pytest.mark.parametrize("preset", PRESETS)
def test_nine_networks_one_budget(preset):
    made = cells(preset)
    assert len(made) == 9 * PRESETS[preset].seeds
    assert len({cell.id for cell in made}) == len(made)
    budgets = set()
    for cell in made:
        own = json.loads(json.dumps(cell.config.to_dict(), sort_keys=True))
        del own["model"], own["seed"]
        budgets.add(json.dumps(own, sort_keys=True))
    assert len(budgets) == 1, "the budget is the same for all"


def test_overrides_reach_every_cell_and_those_that_make_no_sense_are_refused():
    assert {cell.config.total_epochs for cell in cells("smoke", ["total_epochs=1"])} == {1}
    for bad in ("seed=3", "model.width=1"):
        with pytest.raises(ConfigError, match="sets its own"):
            cells("smoke", [bad])
    with pytest.raises(ConfigError, match="smoke, laptop, gpu"):
        cells("tiny")


@pytest.mark.slow
def test_only_what_is_missing_runs(tmp_path):
    assert run(tmp_path) == [(0, "done"), (1, "done")]
    assert run(tmp_path, seeds=(0, 1, 2)) == [(0, "kept"), (1, "kept"), (2, "done")]
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["MLP seed 0", "MLP seed 1", "MLP seed 2"]


def test_a_failed_cell_is_noted_and_tried_again_and_the_others_go_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cells_module, "train", failing_for(0))
        patch.setattr(cells_module, "train_population", failing_together)
        assert run(tmp_path) == [(0, "failed"), (1, "done")]
    notes = {note["label"]: note for note in last_notes(tmp_path).values()}
    assert notes["MLP seed 0"]["status"] == "failed"
    assert "too steep" in notes["MLP seed 0"]["error"]
    assert sorted(run(tmp_path)) == [(0, "done"), (1, "kept")]


def failing_together(members, **rest):
    raise ConfigError(98, "one of them is too steep")


def failing_for(seed):
    real = cells_module.train

    def train(config, workdir, **rest):
        if config.seed == seed:
            raise ConfigError(99, "too steep")
        return real(config, workdir, **rest)

    return train


def test_a_stopped_sweep_goes_on(tmp_path, monkeypatch):
    def stopped(*args, **rest):
        raise Preempted(1, "stopped")

    with monkeypatch.context() as patch:
        patch.setattr(cells_module, "train_population", stopped)
        with pytest.raises(Preempted):
            run(tmp_path)
    assert run(tmp_path) == [(0, "done"), (1, "done")]


def test_a_cell_that_another_process_runs_is_left_to_it(tmp_path):
    cell = Cell(toy_config(), "MLP seed 0")
    with only_one(tmp_path / cell.id) as mine:
        assert mine
        assert run(tmp_path) == [(0, "elsewhere"), (1, "done")]


@pytest.mark.slow
def test_the_whole_command(tmp_path, capsys, monkeypatch):
    """From the command line to the report, with the networks that compile quickly; `make smoke` trains all nine."""
    few = tuple(network for network in NETWORKS if network.family in ("linear", "lenet", "vgg"))
    monkeypatch.setattr(history, "NETWORKS", few)
    overrides = ["--config.total_steps=2", "--config.batch_size=24", "--config.num_devices=1"]
    assert main(["history", f"--workdir={tmp_path}", "--preset=smoke", "--json", *overrides]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [network["family"] for network in results["networks"]] == [network.family for network in few]
    assert all(cell["status"] == "done" and cell["test"]["n"] == 47 for cell in results["cells"])
    assert results == json.loads((tmp_path / "results.json").read_text())
    page = (tmp_path / "report.html").read_text()
    assert all(network.label in page for network in few)
    (tmp_path / "report.html").unlink()
    assert main(["report", f"--workdir={tmp_path}"]) == 0
    assert (tmp_path / "report.html").read_text() == page
