"""Real processes on this machine: they train what one trains, stop together, and outlive none of them in silence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from cnn_jax.config import load_config, override, resolve
from cnn_jax.errors import ConfigError
from cnn_jax.evaluate import load
from cnn_jax.train import distributed
from cnn_jax.train.loop import load_config_data, train
from cnn_jax.train.metrics import read_metrics
from tests.toy import CLASSES, toy_dataset

ROOT = Path(__file__).parents[2]
# A step takes a while, and is a call of its own: signals fall between steps.
SLOWLY = """
import sys, time
from cnn_jax.main import main
from cnn_jax.train import run
record = run.TrainingRun._record
run.TrainingRun._record = lambda *args: (time.sleep(0.25), record(*args))
sys.exit(main())
"""
CONFIG = """
def get_config(arg=""):
    return {{
        "data": "folder:{folder}", "input": "stream", "model": {{"name": "mlp:8"}}, "batch_size": 32,
        "total_steps": 24, "log_every": 1, "eval_every": 12, "checkpoint_every": 4, "augment": ("flip", "pad_crop:2"),
    }}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Images in a folder, left there: each process reads its own share of every batch."""
    folder = tmp_path_factory.mktemp("folder")
    split = toy_dataset(train=180, size=8).splits["train"]
    for i, (image, label) in enumerate(zip(np.asarray(split.image), split.label, strict=True)):
        (folder / "images" / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "images" / CLASSES[label] / f"{i}.png")
    file = folder / "config.py"
    file.write_text(CONFIG.format(folder=folder / "images"))
    return file


def launch(count, config, workdir, *arguments, slowly=False):
    """Starts the processes of a run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = ["-c", SLOWLY] if slowly else ["-m", "cnn_jax"]
    command = [sys.executable, *program, "train", f"--config={config}", f"--workdir={workdir}", "--json", *arguments]
    environment = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(ROOT), "JAX_NUM_PROCESSES": str(count)}
    environment |= {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}"}
    return [
        subprocess.Popen(
            command,
            env={**environment, "JAX_PROCESS_ID": str(i)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]


def ended(processes, seconds=120):
    """Waits for all: exit statuses and what each wrote to standard output and standard error."""
    try:
        outputs = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [p.returncode for p in processes], *map(list, zip(*outputs, strict=True))


def wait_for_step(processes, workdir, step):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and all(p.poll() is None for p in processes):
        if (workdir / "metrics.jsonl").exists() and any(line["step"] >= step for line in read_metrics(workdir)):
            return
        time.sleep(0.05)
    pytest.fail(f"step {step} was not reached: {ended(processes)}")


@pytest.mark.slow
def test_killed_stopped_and_finished_by_more_processes_is_the_run_of_one(config, tmp_path):
    workdir = tmp_path / "many"
    # One of two is killed: the other one says so at once.
    processes = launch(2, config, workdir, slowly=True)
    wait_for_step(processes, workdir, 5)
    processes[1].kill()
    killed = time.monotonic()
    statuses, _, errors = ended(processes)
    assert time.monotonic() - killed < 2 * distributed.HEARTBEAT_SECONDS
    assert statuses == [75, -signal.SIGKILL]
    assert "E-STOP-03: another process of this run has ended" in errors[0].splitlines()[-1]
    # A signal to one of two stops both at one step, saved.
    processes = launch(2, config, workdir, slowly=True)
    wait_for_step(processes, workdir, 10)
    processes[1].send_signal(signal.SIGTERM)
    statuses, _, errors = ended(processes)
    assert statuses == [75, 75]
    (step,) = {error.partition(" at step ")[2].partition(";")[0] for error in errors}
    assert (workdir / "checkpoints" / f"{int(step):08d}").is_dir()
    # Four go on from there, and finish.
    statuses, outputs, errors = ended(launch(4, config, workdir))
    assert statuses == [0] * 4, errors
    final = json.loads(outputs[0])
    assert outputs[1:] == [""] * 3
    assert json.loads((workdir / "DONE").read_text()) == final

    one = resolve(override(load_config(config), ["input=device", "num_devices=1"]))
    reference = train(one, tmp_path / "one", dataset=load_config_data(one), progress=False)
    for a, b in zip(*(jax.tree.leaves(load(w, step=24).variables) for w in (workdir, tmp_path / "one")), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for split in ("validation", "test"):
        assert final[split]["n"] == reference[split]["n"]
        assert final[split]["accuracy"] == reference[split]["accuracy"]
        assert final[split]["loss"] == pytest.approx(reference[split]["loss"], abs=1e-5)
    lines = [[(line["step"], line["split"]) for line in read_metrics(w)] for w in (workdir, tmp_path / "one")]
    assert lines[0] == lines[1]


ONE = {"JAX_COORDINATOR_ADDRESS": "localhost:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}
SLURM = {
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({**ONE, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}, None),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "node1"}, None),
        (ONE, {"coordinator_address": "localhost:1", "num_processes": 2, "process_id": 1}),
        (SLURM, {"cluster_detection_method": "slurm", "local_device_ids": None}),
        # Two tasks on a node that both see its two GPUs; one that sees its own alone; one that has three to itself.
        ({**SLURM, "CUDA_VISIBLE_DEVICES": "0,1"}, {"local_device_ids": [1]}),
        ({**SLURM, "CUDA_VISIBLE_DEVICES": "3"}, {"local_device_ids": [0]}),
        (
            {**SLURM, "SLURM_STEP_TASKS_PER_NODE": "1(x4)", "CUDA_VISIBLE_DEVICES": "0,1,2"},
            {"local_device_ids": [0, 1, 2]},
        ),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, {"cluster_detection_method": "ompi"}),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, {}),
    ],
)  # fmt: skip
def test_what_the_environment_says(environment, expected):
    found = distributed._arguments(environment)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert expected.items() <= found.items()


@pytest.mark.parametrize("change", [{"JAX_PROCESS_ID": "2"}, {"JAX_NUM_PROCESSES": "two"}, {"JAX_PROCESS_ID": None}])
def test_an_environment_that_makes_no_sense_is_refused(change):
    environment = {name: value for name, value in {**ONE, **change}.items() if value is not None}
    with pytest.raises(ConfigError, match=r"JAX_COORDINATOR_ADDRESS=localhost:1, .*HOST:PORT"):
        distributed.start("auto", environment)


def test_modes():
    distributed.start("off", ONE)
    distributed.start("auto", {})
    with pytest.raises(ConfigError, match=r"--distributed=on, and nothing says.*JAX_COORDINATOR_ADDRESS"):
        distributed.start("on", {})
    assert distributed.Processes.here() == distributed.Processes(0, 1)
