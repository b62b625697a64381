"""Sweeps that run: only what is missing, by one process or several, killed or failing, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cnn_jax.main import main
from cnn_jax.sweep import cells as cells_module
from cnn_jax.sweep.cells import MANIFEST
from cnn_jax.sweep.tidy import COLUMNS

EXPERIMENT = """
from ml_collections import ConfigDict
from cnn_jax.sweep.space import axis, product, seeds

def get_config(arg=""):
    return ConfigDict(dict(data="folder:{folder}", model=dict(name="mlp:4"), batch_size=8, total_steps={steps},
                           log_every=2, num_devices=1))

def sweep(add):
    for settings in product(axis("model.activation", ("relu", "tanh")), seeds({seeds})):
        add(**settings)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """8x8 images of two classes."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 5)):
        for i, name in enumerate(("dark", "light")):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                image = rng.integers(0, 100, (8, 8, 3), dtype=np.uint8) + np.uint8(100 * i)
                Image.fromarray(image).save(root / split / name / f"{n}.png")
    return root


@pytest.fixture
def experiment(folder, tmp_path):
    def write(steps=4, seeds=2):
        file = tmp_path / "experiment.py"
        file.write_text(EXPERIMENT.format(folder=folder, steps=steps, seeds=seeds))
        return file

    return write


def noted(workdir) -> Counter[tuple[str, str]]:
    lines = map(json.loads, (workdir / MANIFEST).read_text().splitlines())
    return Counter((line["label"], line["status"]) for line in lines)


@pytest.mark.slow
def test_what_is_missing_runs_and_the_table_is_tidy(experiment, tmp_path, capsys):
    workdir = tmp_path / "w"
    command = ["sweep", f"--experiment={experiment()}", f"--workdir={workdir}"]
    assert main(command) == 0
    shown = capsys.readouterr()
    assert "4 of 4 cells done" in shown.out
    assert "done: activation=tanh, seed=1: test error" in shown.err
    assert main([*command[:1], f"--experiment={experiment(seeds=3)}", *command[2:], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(noted(workdir).values()) == {1}
    assert len(noted(workdir)) == 6
    frame = pd.read_csv(workdir / "results.csv")
    assert list(frame[["model.activation", "seed"]].itertuples(index=False, name=None)) == [
        (name, seed) for name in ("relu", "tanh") for seed in range(3)
    ]
    for row, stored in zip(frame.to_dict("records"), document["cells"], strict=True):
        final = json.loads((workdir / row["id"] / "DONE").read_text())
        assert row["test_error"] == pytest.approx(1 - final["test"]["accuracy"])
        assert (row["status"], row["steps"], row["params"]) == ("done", 4, 8 * 8 * 3 * 4 + 4 + 4 * 2 + 2)
        assert stored["test_loss"] == final["test"]["loss"]
    parquet = pd.read_parquet(workdir / "results.parquet")
    assert parquet.columns.tolist() == frame.columns.tolist()
    arms = pd.read_csv(workdir / "arms.csv").set_index("model.activation")
    assert arms.n.to_dict() == {"relu": 3, "tanh": 3}
    for name, rows in frame.groupby("model.activation"):
        assert arms.error[name] == pytest.approx(rows.test_error.mean())
    assert arms.error.to_dict() == {row["settings"]["model.activation"]: row["error"] for row in document["arms"]}
    assert main([*command, "--dry_run"]) == 0
    assert "0 to run with 0 programs" in capsys.readouterr().out


def test_a_failed_cell_is_one_line_the_others_go_on_and_it_is_tried_again(experiment, tmp_path, capsys, monkeypatch):
    workdir = tmp_path / "w"
    command = ["sweep", f"--experiment={experiment()}", f"--workdir={workdir}"]
    real = cells_module.train

    def faulty(config, own, **options):
        if config.seed == 1 and config.model.activation == "relu":
            raise RuntimeError("the device\nis on fire")
        return real(config, own, **options)

    def faulty_together(members, **options):
        raise RuntimeError("somebody's device is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(cells_module, "train", faulty)
        patch.setattr(cells_module, "train_population", faulty_together)
        assert main(command) == 1
    shown = capsys.readouterr()
    (line,) = [line for line in shown.err.splitlines() if line.startswith("failed")]
    assert "activation=relu, seed=1: RuntimeError: the device is on fire" in line
    own = next(workdir.glob("*/traceback.txt"))
    assert str(own.parent) in line
    assert "faulty" in own.read_text()
    assert "3 of 4 cells done" in shown.out
    frame = pd.read_csv(workdir / "results.csv")
    assert frame.status.tolist() == ["done", "failed", "done", "done"]
    assert main([*command, "--dry_run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in plan["cells"]] == ["done", "failed", "done", "done"]
    assert plan["cells"][1]["seconds_from"] == "measured"
    assert main(command) == 0
    assert noted(workdir)["activation=relu, seed=1", "done"] == 1


@pytest.mark.slow
def test_two_processes_share_a_sweep_killed_on_the_way_and_each_cell_is_there_once(experiment, tmp_path):
    workdir, file = tmp_path / "w", experiment(steps=6, seeds=3)
    line = [sys.executable, "-m", "cnn_jax", "sweep", f"--experiment={file}", f"--workdir={workdir}", "--processes=2"]
    # No virtual devices: the processes are users'.
    surroundings = {**os.environ, "XLA_FLAGS": ""}

    def done():
        return len(list(workdir.glob("*/DONE")))

    process = subprocess.Popen(line, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while done() < 2 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 75), err  # 0: it was quicker than the signal
    assert "Traceback" not in err
    assert len(pd.read_csv(workdir / "results.csv")) == 6
    again = subprocess.run(line, env=surroundings, capture_output=True, text=True, timeout=240)
    assert again.returncode == 0, again.stderr
    assert "6 of 6 cells done" in again.stdout
    assert done() == 6
    finished = [label for (label, status), count in noted(workdir).items() if status == "done" for _ in range(count)]
    assert sorted(finished) == sorted(set(finished))
    assert pd.read_csv(workdir / "results.csv").status.tolist() == ["done"] * 6


MEASURE = """
def measure(run):
    with open({asked!r}, "a") as log:
        log.write(run.workdir.name + "\\n")
    return {returned}
"""


def test_what_an_experiment_measures_is_a_column_and_is_asked_once(experiment, tmp_path, capsys):
    file, asked, workdir = experiment(seeds=1), tmp_path / "asked", tmp_path / "w"
    plain = file.read_text()
    returned = "{'units': run.variables['params']['fc1']['kernel'].shape[1], 'lines': len(run.history)}"
    file.write_text(plain + MEASURE.format(asked=str(asked), returned=returned))
    command = ["sweep", f"--experiment={file}", f"--workdir={workdir}"]
    assert main(command) == main(command) == 0
    frame = pd.read_csv(workdir / "results.csv")
    assert frame.units.tolist() == [4, 4]
    lines = [len((workdir / cell / "metrics.jsonl").read_text().splitlines()) for cell in frame.id]
    assert frame.lines.tolist() == lines
    assert sorted(asked.read_text().split()) == sorted(frame.id)
    file.write_text(file.read_text().replace("'units'", "'width'"))
    assert main(command) == 0
    columns = pd.read_csv(workdir / "results.csv").columns
    assert "width" in columns
    assert {*columns} <= {*COLUMNS, "model.activation", "width", "lines"}
    capsys.readouterr()
    for wrong, words in (
        ("{'seed': 1}", "seed is a column already"),
        ("{'x': float('nan')}", "E-CONF-175: measure of"),
        ("3", "return a dict of numbers"),
        ("{'x': 1 / 0}", "cell activation=relu, seed=0, line 16: ZeroDivisionError"),
    ):
        file.write_text(plain + MEASURE.format(asked=str(asked), returned=wrong))
        assert main(command) == 2
        assert words in capsys.readouterr().err
