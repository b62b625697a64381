"""Runs the command line in processes that can be hurt, and compares what they leave behind."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.train.metrics import read_metrics
from tests.battery.child import STRUCK, Fault, run

# Each process is forked from one that has imported everything and started no backend: a trial costs no import.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["cnn_jax.sweep", "cnn_jax.evaluate", "tests.battery.child", "tensorflow_datasets"])

CONFIG = """
from ml_collections import ConfigDict

def get_config(arg=""):
    config = ConfigDict()
    # Statistics, dropout, augmentation and a schedule: everything that has a state or draws random numbers.
    config.model = ConfigDict({"name": "lenet:small,norm=batch,dropout=0.2"})
    config.data = "shapes:tiny"
    config.batch_size = 32
    config.total_steps = 20
    config.eval_every, config.checkpoint_every, config.log_every = 5, 2, 2
    config.augment = ("flip", "pad_crop:2")
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.02})
    config.schedule = ConfigDict({"name": "cosine"})
    return config
"""
TOTAL_STEPS = 20
# A run that is not over by then hangs.
PATIENCE = 300.0


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        status: its exit status; negative, the signal that ended it.
        output: both streams.
        seconds: how long it ran.
        after_fault: seconds from the fault to its end, or None where none struck.
    """

    status: int
    output: str
    seconds: float
    after_fault: float | None


class Trial:
    """`cnn-jax` in child processes that share a cache.

    Args:
        folder: for logs.
        environment: variables of the children.
    """

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder = folder
        self.environment = environment
        self._started = 0

    def start(self, *argv: str | Path, fault: Fault | int | None = None, **environment: str):
        """Starts a process; `fault` as in `child.run`."""
        log = self.folder / f"{self._started}.log"
        self._started += 1
        process = _PROCESSES.Process(
            target=run, args=([str(a) for a in argv], str(log), {**self.environment, **environment}, fault)
        )
        process.start()
        return process, log

    def run(self, *argv: str | Path, fault: Fault | int | None = None, **environment: str) -> Ended:
        """Starts a process and waits for its end."""
        started = time.monotonic()
        process, log = self.start(*argv, fault=fault, **environment)
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"{argv} hangs; its output: {log.read_text()}")
        now, struck = time.monotonic(), log.with_suffix(STRUCK)
        after = now - float(struck.read_text()) if struck.exists() else None
        return Ended(process.exitcode, log.read_text() if log.exists() else "", now - started, after)

    def train(self, workdir: Path, *overrides: str, fault: Fault | int | None = None, **environment: str) -> Ended:
        """Trains the battery's config; `overrides` are `KEY=VALUE`."""
        config = self.folder / "config.py"
        config.write_text(CONFIG)
        changed = (f"--config.{override}" for override in overrides)
        return self.run("train", f"--config={config}", f"--workdir={workdir}", *changed, fault=fault, **environment)


def digest(workdir: Path) -> str:
    """sha256 over every array of the last checkpoint, of the logged metrics and of DONE, clocks left out."""
    from orbax.checkpoint import v1 as ocp

    last = max((workdir / "checkpoints").glob("[0-9]*"))
    total = hashlib.sha256(last.name.encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the arrays come back as they lay: which is what is asked for
        arrays = ocp.load(str(last / "state"))
    for path, leaf in jax.tree_util.tree_flatten_with_path(arrays)[0]:
        total.update(jax.tree_util.keystr(path).encode())
        total.update(np.asarray(leaf).tobytes())
    for line in read_metrics(workdir):
        total.update(json.dumps(_timeless(line), sort_keys=True).encode())
    total.update(json.dumps(_timeless(json.loads((workdir / "DONE").read_text())), sort_keys=True).encode())
    return total.hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in ("seconds", "images_per_second")}
    return value


def leftovers(workdir: Path) -> list[str]:
    """Files and folders that a finished run should not leave."""
    return [str(path.relative_to(workdir)) for path in workdir.rglob("*") if "partial" in path.name]


def children_environment(cache: Path) -> dict[str, str]:
    """Variables of every child: one device, and caches that the trials share."""
    return {"CNN_JAX_CACHE": str(cache), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "TF_CPP_MIN_LOG_LEVEL": "3"} | {
        name: os.environ[name] for name in ("TFDS_DATA_DIR",) if name in os.environ
    }
