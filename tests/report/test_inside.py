"""Pictures of `inspect` in the reports: whose they are, and that nothing else gets in."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
from PIL import Image

from cnn_jax.main import main
from cnn_jax.report.inside import MOST, Looked, runs_of_sweep, views

EXPERIMENT = """
from ml_collections import ConfigDict
from cnn_jax.sweep.space import named, product, seeds

def get_config(arg=""):
    model = dict(name="lenet:small,width=0.5", activation="relu")
    return ConfigDict(dict(model=model, batch_size=16, total_steps=2, data="shapes:tiny", num_devices=1))

def sweep(add):
    for settings in product(named({"<b>": {"model.kernel_size": 3}, "five": {"model.kernel_size": 5}}), seeds(2)):
        add(**settings)
"""


def looked_at(folder, method="filters", names=("filters",), step=7):
    own = folder / "inspect" / method
    own.mkdir(parents=True)
    for i, name in enumerate(names):
        Image.fromarray(np.full((2, 3, 3), 40 * i, np.uint8)).save(own / f"{name}.png")
    (own / "facts.json").write_text(json.dumps({"step": step}))
    return own


def test_pictures_are_those_of_the_runs_method_by_method(tmp_path):
    runs = [Looked("A", 0, tmp_path / "a"), Looked("B", 1, tmp_path / "b")]
    looked_at(tmp_path / "b", "gradcam", ("maps", "over_image"))
    for name in "ab":
        looked_at(tmp_path / name)
    found = views(runs, tmp_path)
    assert [view.summary[:12] for view in found] == ["filters of t", "where a tap "]
    assert [picture.caption for picture in found[0].pictures] == ["A, seed 0, step 7", "B, seed 1, step 7"]
    assert [picture.caption for picture in found[1].pictures] == [
        "B, seed 1, step 7: maps",
        "B, seed 1, step 7: over image",
    ]
    held = base64.b64decode(found[1].pictures[1].address.removeprefix("data:image/png;base64,"))
    assert held == (tmp_path / "b/inspect/gradcam/over_image.png").read_bytes()


def test_what_is_unfinished_damaged_or_elsewhere_is_left_out(tmp_path):
    study = tmp_path / "study"
    (looked_at(study / "a") / "facts.json").unlink()
    (looked_at(study / "b") / "facts.json").write_text("[")
    looked_at(tmp_path / "c")
    runs = [Looked("A", 0, study / "a"), Looked("B", 0, study / "b"), Looked("C", 0, study / ".." / "c")]
    assert views(runs, study) == []
    assert views([Looked("never", 0, study / "d")], study) == []


def test_of_many_arms_the_best_are_shown(tmp_path):
    cells = [
        {"settings": {"x": i, "seed": seed}, "seed": seed, "id": f"{i}-{seed}", "test_error": (7 * i % 40) / 40}
        for i in range(40)
        for seed in (3, 1)
    ]
    found = runs_of_sweep({"cells": cells}, tmp_path)
    assert len(found) == MOST
    assert [run.folder.name for run in found[:3]] == ["0-1", "23-1", "6-1"]  # 7 i = 0, 1, 2 modulo 40


@pytest.mark.slow
def test_a_report_looks_into_one_run_of_each_arm(tmp_path, capsys):
    file, workdir = tmp_path / "experiment.py", tmp_path / "w"
    file.write_text(EXPERIMENT)
    assert main(["sweep", f"--experiment={file}", f"--workdir={workdir}"]) == 0
    page = (workdir / "report.html").read_text()
    assert "Looking inside" not in page
    assert main(["report", f"--workdir={workdir}", "--inspect", "filters", "responses"]) == 0
    assert "2 of 2: responses of" in capsys.readouterr().err
    page = (workdir / "report.html").read_text()
    assert len(re.findall(r'<img src="data:image/png;base64,', page)) >= 4
    assert page.count("seed 0, step 2") >= 4
    assert "<b>" not in page
    assert "img-src data:" in page
    assert len(list(workdir.glob("*/inspect/*/facts.json"))) == 4
    assert main(["report", f"--workdir={workdir}", "--inspect", "fortune"]) == 2
    assert "use filters, activations" in capsys.readouterr().err
