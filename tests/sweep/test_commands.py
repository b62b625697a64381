"""A sweep as commands that anything can start: Ray, Kubernetes, a person."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cnn_jax.main import main
from tests.sweep.conftest import SIX_CELLS

DOCS = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()


@pytest.mark.slow
def test_commands_run_the_sweep_together_and_each_is_alone_in_slurm(six_cells, tmp_path, capsys, monkeypatch):
    import jax

    def connect(*args, **options):
        raise AssertionError("a cell is one process")

    workdir = tmp_path / "w"
    line = ["sweep", f"--experiment={six_cells}", f"--workdir={workdir}", "--config.total_steps=3"]
    assert main([*line, "--launcher=commands", "--processes=3"]) == 0
    commands = [text.split() for text in capsys.readouterr().out.splitlines()]
    assert [text[:2] for text in commands] == [["cnn-jax", "sweep"]] * 4
    assert main([*line, "--launcher=commands", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["commands"]
    assert [len(part["cells"]) for part in document] == [3, 3]
    assert document[0]["command"][-1] == f"--cells={','.join(document[0]['cells'])}"
    assert not workdir.exists()

    # As a task of four would see its surroundings.
    for name, value in {"SLURM_NTASKS": "4", "SLURM_PROCID": "1", "SLURM_STEP_NODELIST": "a[1-4]"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(jax.distributed, "initialize", connect)
    for count, command in enumerate(commands[:2], 1):
        assert main(command[1:]) == 0
        shown = capsys.readouterr()
        assert f"{len(command[-1].split(','))} of {len(command[-1].split(','))} cells done\n" in shown.out
        assert len(list(workdir.glob("*/DONE"))) == [2, 3][count - 1]
        assert not (workdir / "results.json").exists()
    assert main([*line, "--launcher=commands", "--json"]) == 0
    assert [len(part["cells"]) for part in json.loads(capsys.readouterr().out)["commands"]] == [3]
    assert main(line) == 0
    assert "6 of 6 cells done; results" in capsys.readouterr().out


def test_cells_of_any_rung_can_be_named(tmp_path, capsys):
    file = tmp_path / "halved.py"
    file.write_text(
        SIX_CELLS
        + "\nfrom cnn_jax.sweep.halving import Halving\nhalving = Halving('total_steps', start=2, factor=2, rungs=2)\n"
    )
    line = ["sweep", f"--experiment={file}", f"--workdir={tmp_path / 'w'}"]
    assert main([*line, "--launcher=commands", "--json"]) == 0
    (first, _) = json.loads(capsys.readouterr().out)["commands"]
    assert len(first["cells"]) == 3
    assert main([*line, f"--cells={first['cells'][0]}", "--dry_run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [row["settings"]["total_steps"] for row in plan["cells"]] == [2]
    assert plan["halving"] is None


def test_each_pod_of_the_documented_job_starts_its_line(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    manifest = yaml.safe_load(text)
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert manifest["spec"]["completionMode"] == "Indexed"
    assert manifest["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [75]
    commands = tmp_path / "commands.txt"
    commands.write_text("cnn-jax sweep --cells=a\ncnn-jax sweep '--experiment=a b.py' --cells=b,c\n")
    (tmp_path / "cnn-jax").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 75\n')
    (tmp_path / "cnn-jax").chmod(0o755)
    shell = [part.replace("/runs/commands.txt", str(commands)) for part in container["command"]]
    surroundings = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": "1"}
    ended = subprocess.run(shell, env=surroundings, capture_output=True, text=True)
    assert ended.stdout.splitlines() == ["sweep", "--experiment=a b.py", "--cells=b,c"]
    assert ended.returncode == 75
