"""Experiment files: their cells, and the geometry of all of them before any runs."""

from __future__ import annotations

import json

import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.main import main
from cnn_jax.sweep.grid import read_experiment

EXPERIMENT = '''
"""Does a larger window help LeNet-5?"""
from ml_collections import ConfigDict

def get_config(arg=""):
    return ConfigDict({"model": {"name": "lenet:small"}, "total_epochs": 2})

def sweep(add):
    for kernel_size in (3, 5, 33):
        for seed in (0, 1):
            add(**{"model.kernel_size": kernel_size, "seed": seed})
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "window.py"
    path.write_text(EXPERIMENT)
    return path


def test_one_cell_a_call(file):
    cells = read_experiment(file)
    assert [(cell.config.model.kernel_size, cell.config.seed) for cell in cells] == [
        (3, 0), (3, 1), (5, 0), (5, 1), (33, 0), (33, 1),
    ]  # fmt: skip
    assert len({cell.id for cell in cells}) == 6
    assert cells[0].label == "kernel_size=3, seed=0"


def test_illegal_cells_are_named_with_layer_and_a_legal_choice(file, capsys):
    assert main(["check", f"--experiment={file}", "--json"]) == 2
    result = json.loads(capsys.readouterr().out)
    assert result["cells"] == 6
    assert [problem["cell"] for problem in result["illegal"]] == ["kernel_size=33, seed=0", "kernel_size=33, seed=1"]
    assert result["illegal"][0]["layer"] == "conv1"
    assert any("kernel_size" in neighbour for neighbour in result["illegal"][0]["neighbours"])


def test_overrides_reach_every_cell_that_is_checked(file, capsys):
    assert main(["check", f"--experiment={file}", "--config.model.padding=16"]) == 0
    assert "6 of 6 cells are legal" in capsys.readouterr().out


@pytest.mark.parametrize("idiom", ["sweep(add, arg)", "get_hyper(hyper, arg)"])
def test_an_argument_reaches_the_sweep_that_takes_it(idiom, tmp_path):
    file = tmp_path / "experiment.py"
    body = {
        "sweep(add, arg)": "add(**{'batch_size': 16 if arg == 'gpu' else 8})",
        "get_hyper(hyper, arg)": "return hyper.sweep('batch_size', [16 if arg == 'gpu' else 8])",
    }[idiom]
    file.write_text(f"def get_config(arg=''):\n    return {{'total_steps': 3}}\n\ndef {idiom}:\n    {body}\n")
    assert [cell.config.batch_size for cell in read_experiment(file)] == [8]
    assert [cell.config.batch_size for cell in read_experiment(f"{file}:gpu")] == [16]


def test_check_of_a_config(tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text("def get_config(arg=''):\n    return {'model': {'name': 'lenet:small'}, 'total_steps': 3}\n")
    assert main(["check", f"--config={config}"]) == 0
    assert "1 of 1 cells are legal" in capsys.readouterr().out
    assert main(["check", f"--config={config}", "--config.model.kernel_size=40"]) == 2
    assert "conv1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EXPERIMENT.replace("sweep", "sweeep"), "defines no sweep"),
        (EXPERIMENT.replace("(3, 5, 33)", "()"), "adds no cell"),
        (EXPERIMENT.replace('"seed": seed', '"sede": seed'), "did you mean config.seed"),
        (EXPERIMENT.replace("total_epochs", "total_epoch"), "did you mean config.total_epochs"),
    ],
)
def test_a_broken_experiment_is_named(tmp_path, text, words):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_experiment(path)
