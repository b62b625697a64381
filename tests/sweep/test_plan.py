"""What a sweep is going to be, before it runs: 200 cells of one geometry after another, none trained."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cnn_jax import analysis
from cnn_jax.errors import ConfigError
from cnn_jax.main import main
from cnn_jax.sweep.grid import check_cells, model_name, read_experiment
from cnn_jax.sweep.plan import count_programs, in_running_order, make_plan

GEOMETRY = Path(__file__).parents[2] / "experiments" / "geometry.py"
HYPER = """
from ml_collections import ConfigDict

def get_config(arg=""):
    return ConfigDict({"model": {"name": "mlp:4"}, "total_epochs": 2, "data": "shapes:tiny"})

def get_hyper(hyper):
    return hyper.product([
        hyper.sweep("config.seed", range(2)),
        hyper.sweep("config.optimizer.learning_rate", [0.1, 0.2]),
        hyper.fixed("config.total_steps", 7, length=1),
    ])
"""
NAMED = """
from ml_collections import ConfigDict
from cnn_jax.sweep.space import chain, fixed, named, product, seeds

def get_config(arg=""):
    config = ConfigDict({"model": {"name": "mlp:4"}, "total_steps": 5, "data": "shapes:tiny"})
    config.batch_size = 7 if arg == "odd" else 8
    return config

def sweep(add):
    arms = named({"ReLU": {"model.activation": "relu"}, "tanh": {"model.activation": "tanh"}})
    for settings in chain(product(seeds(2), arms), fixed({"model.activation": "relu", "seed": 0})):
        add(**settings)
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "experiment.py").write_text(text)
        return tmp_path / "experiment.py"

    return write


@pytest.mark.slow
def test_200_cells_are_checked_in_a_minute_and_every_illegal_one_is_named():
    cells = read_experiment(GEOMETRY)
    assert len(cells) == len({cell.id for cell in cells}) == 200
    started = time.perf_counter()
    illegal = check_cells(cells)
    assert time.perf_counter() - started < 60
    for cell in cells:
        config = cell.config.model
        # By hand: a window larger than what it is given, in convolutions and in the pools between them.
        size, fits = 32, True
        for _ in config.features:
            size = (size + 2 * config.padding - config.kernel_size) // config.strides + 1
            fits = fits and size >= 1
            size //= 2
            fits = fits and size >= 1
        assert (cell.id not in illegal) == fits, cell.label
    assert 0 < len(illegal) < 100
    for cell in cells:
        if cell.id in illegal:
            problem = illegal[cell.id]
            assert problem.cell == cell.label
            assert problem.layer
            assert problem.neighbours, cell.label


@pytest.mark.slow
def test_a_neighbour_from_the_grid_is_legal():
    cells = read_experiment(GEOMETRY)
    illegal = check_cells(cells)
    last = [cell for cell in cells if cell.id in illegal][-1]
    change = dict(part.split("=") for part in illegal[last.id].neighbours[0].split(", "))
    changed = model_name(last.config)
    for key, value in change.items():
        changed = changed.replace(f"{key}={getattr(last.config.model, key)}", f"{key}={value}")
    assert changed != model_name(last.config)
    assert not analysis.check(changed, (32, 32, 3))


def test_sweep_refuses_illegal_cells_or_skips_them(tmp_path, capsys, written):
    text = "def get_config(arg=''):\n    return {'model': {'name': 'lenet:small'}, 'total_steps': 3}\n"
    text += "def sweep(add):\n    for size in (3, 33, 5):\n        add(**{'model.kernel_size': size})\n"
    command = ["sweep", f"--experiment={written(text)}", f"--workdir={tmp_path / 'w'}", "--dry_run", "--json"]
    assert main(command) == 2
    shown = capsys.readouterr()
    assert [row["number"] for row in json.loads(shown.out)["illegal"]] == [2]
    assert "illegal: 2. kernel_size=33: layer conv1" in shown.err
    assert "1 of 3 cells are illegal" in shown.err
    assert main([*command, "--skip_illegal"]) == 0
    shown = capsys.readouterr()
    plan = json.loads(shown.out)
    assert [row["number"] for row in plan["cells"]] == [1, 3]
    assert plan["programs"] == 2
    assert not (tmp_path / "w").exists()
    assert main([*command[:-1], "--skip_illegal"]) == 0
    assert "2 cells, 0 done, 2 to run with 2 programs to compile" in capsys.readouterr().out


def test_strict_counts_remainders(tmp_path, written):
    text = "def get_config(arg=''):\n    return {'model': {'name': 'lenet:small'}, 'total_steps': 3}\n"
    text += "def sweep(add):\n    add(**{'model.strides': 2})\n"
    cells = read_experiment(written(text))
    assert not check_cells(cells)
    assert check_cells(cells, strict=True)


def test_costs_are_those_of_the_layer_table(tmp_path, written):
    cells = read_experiment(written(HYPER))
    plan = make_plan(cells, tmp_path / "w")
    total = analysis.show_named("mlp:4", (32, 32, 3)).total
    assert {(row.params, row.macs) for row in plan} == {(total.params, total.macs)}
    assert {row.images_seen for row in plan} == {7 * cells[0].config.batch_size}
    assert {row.seconds_from for row in plan} == {"guessed"}
    assert sum(row.seconds for row in plan) < 1.5 * make_plan(cells[:1], tmp_path / "w")[0].seconds  # compiled once
    images = 2500 * (32 * 32 * 3 + 4)
    assert all(images + 12 * total.params < row.memory_bytes < 1.2 * images + 12 * total.params for row in plan)
    assert [row.number for row in plan] == [1, 2, 3, 4]


def test_cells_that_differ_in_seed_and_rate_share_a_program(written):
    cells = read_experiment(written(HYPER))
    assert [(c.config.seed, c.config.optimizer.learning_rate) for c in cells] == [
        (0, 0.1),
        (0, 0.2),
        (1, 0.1),
        (1, 0.2),
    ]
    assert count_programs(cells) == 1
    assert in_running_order(cells) == cells
    assert all(cell.config.total_steps == 7 and cell.config.total_epochs is None for cell in cells)


def test_cells_of_one_program_follow_each_other(written):
    cells = read_experiment(written(NAMED))
    assert count_programs(cells) == 2
    ordered = in_running_order(cells)
    assert [cell.label for cell in ordered] == ["ReLU, seed=0", "ReLU, seed=1", "tanh, seed=0", "tanh, seed=1"]


def test_names_become_labels_and_an_arm_and_equal_cells_are_one(written):
    file = written(NAMED)
    cells = read_experiment(file)
    assert [cell.label for cell in cells] == ["ReLU, seed=0", "tanh, seed=0", "ReLU, seed=1", "tanh, seed=1"]
    assert cells[1].settings == {"seed": 0, "model.activation": "tanh", "arm": "tanh"}
    assert {cell.config.batch_size for cell in read_experiment(f"{file}:odd", ["total_steps=9"])} == {7}
    with pytest.raises(ConfigError, match="sets seed itself"):
        read_experiment(file, ["seed=3"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("return hyper.product", "return hyper.produce"), "line 8: AttributeError"),
        (("def get_hyper", "def sweep(add):\n    pass\n\ndef get_hyper"), "both sweep"),
        (('"config.seed", range(2)', '"config.sede", range(2)'), "did you mean config.seed"),
        (("range(2)", "[]"), "adds no cell"),
    ],
)
def test_faults_of_an_experiment_are_named(written, change, words):
    with pytest.raises(ConfigError, match=words):
        read_experiment(written(HYPER.replace(*change)))
