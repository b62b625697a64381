"""A sweep on a real Slurm of one node, started for the test: submitted, cancelled, finished, each cell once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # of a busy machine
NEEDED = ("slurmctld", "slurmd", "sbatch")
ABSENT = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(ABSENT), reason=f"no {', '.join(ABSENT)} on this machine: make slurm-test"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a Slurm"),
]

EXPERIMENT = """
from ml_collections import ConfigDict

def get_config(arg=""):
    return ConfigDict(dict(data="shapes:tiny", model=dict(name="linear"), batch_size=32, total_steps=4, log_every=500))

def sweep(add):
    for seed in range(4):
        add(seed=seed)
    long = {"total_steps": 12_000, "eval_every": 4_000, "checkpoint_every": 4_000}
    add(label="long", **{"model.name": "mlp:8", **long})
    add(label="wild", batch_size=16, **{"optimizer.learning_rate": 1e38})
"""


@pytest.fixture(scope="module")
def cluster():
    """The variables of a process that talks to a Slurm of its own."""
    pytest.importorskip("submitit")
    script = [str(ROOT / "scripts" / "slurm_test_cluster.sh"), "bash", "-c", "echo $SLURM_CONF; read -r _"]
    process = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    config = process.stdout.readline().strip()
    assert config, "the cluster did not come up"
    # No virtual devices: the processes are users'.
    yield {**os.environ, "XLA_FLAGS": "", "SLURM_CONF": config}
    process.communicate("over\n", timeout=PATIENCE)


def test_a_sweep_is_cancelled_in_part_and_finished_and_each_cell_ends_once(cluster, tmp_path):
    file, workdir = tmp_path / "experiment.py", tmp_path / "w"
    file.write_text(EXPERIMENT)
    line = [sys.executable, "-m", "cnn_jax", "sweep", f"--experiment={file}", f"--workdir={workdir}"]
    line += ["--launcher=slurm", "--slurm.time=30", "--slurm.cpus_per_task=1", "--slurm.partition=test"]

    def launch(*more):
        return subprocess.run([*line, *more], cwd=ROOT, env=cluster, capture_output=True, text=True, timeout=PATIENCE)

    wrong = launch("--no_wait", "--slurm.partition=none")
    assert wrong.returncode == 2
    assert "E-CONF-305: Slurm refuses the job" in wrong.stderr
    assert "partition" in wrong.stderr.splitlines()[-1]

    first = launch("--no_wait", "--json")
    assert first.returncode == 0, first.stderr
    tasks = json.loads(first.stdout)["tasks"]
    assert [(len(task["cells"]), task["submitted"]) for task in tasks] == [(4, True), (1, True), (1, True)]
    again = json.loads(launch("--no_wait", "--json").stdout)["tasks"]
    assert not any(task["submitted"] for task in again)
    assert {task["task"] for task in again} <= {task["task"] for task in tasks}

    # This one follows the tasks of the first; the long cell is cancelled on its way.
    watching = subprocess.Popen(line, cwd=ROOT, env=cluster, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (long,) = tasks[1]["cells"]
    metrics = workdir / long / "metrics.jsonl"
    deadline = time.monotonic() + PATIENCE
    while not (metrics.is_file() and metrics.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.1)
    subprocess.run(["scancel", tasks[1]["task"]], env=cluster, check=True)
    _, err = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 75, err
    assert "E-STOP-303" in err
    assert (workdir / "results.csv").read_text().count(",done,") == 4
    lines = err.splitlines()
    log = workdir / "slurm" / f"{tasks[1]['task']}_0_log.out"
    (stopped,) = [line for line in lines if line.startswith("stopped: long")]
    assert "CANCELLED" in stopped
    assert f"{workdir / long} and {log}" in stopped
    assert "E-STOP-01: stopped by SIGTERM" in log.read_text()  # saved, and left with 75
    (failed,) = [line for line in lines if line.startswith("failed: wild: E-NAN")]
    assert f"slurm/{tasks[2]['task']}_0_log.out)" in failed
    saved = max(int(folder.name) for folder in (workdir / long / "checkpoints").glob("[0-9]*"))
    assert 0 < saved < 12_000

    last = launch()
    assert last.returncode == 1, last.stderr  # the wild cell fails again
    assert "5 of 6 cells done" in last.stdout
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines() if '"train"' in line]
    assert steps == list(range(500, 12_001, 500))
    notes = map(json.loads, (workdir / "manifest.jsonl").read_text().splitlines())
    counted = Counter((note["label"], note["status"]) for note in notes)
    assert counted == {
        **{(f"seed={seed}", "done"): 1 for seed in range(4)},
        ("long", "done"): 1,
        ("wild", "failed"): 2,
    }
