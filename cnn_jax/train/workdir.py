"""The files of a workdir, other than its checkpoints and metrics."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from cnn_jax.config import Config, canonical_json, difference, resolve, to_dict
from cnn_jax.errors import CheckpointError, ConfigError

CONFIG, ENVIRONMENT, DATASET, DONE = "config.json", "environment.json", "dataset.json", "DONE"
TRANSFER = "transfer.json"
_PACKAGES = ("cnn-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")

# How a run is computed, and not what: it may go on with other devices and with other readers of its data.
_MAY_CHANGE = ("num_devices", "input", "workers")


def check_workdir(workdir: Path, config: Config) -> None:
    """Refuses a workdir that belongs to another config.

    Raises:
        ConfigError: names what differs.
    """
    file = workdir / CONFIG
    if not file.is_file():
        return
    theirs = resolve(read_json(file))  # a key that has come since has its default there
    with theirs.unlocked():
        theirs.update({key: config[key] for key in _MAY_CHANGE})
    if canonical_json(theirs) != canonical_json(config):
        changed = "; ".join(difference(config, theirs))
        raise ConfigError(11, f"{workdir} was made with another config ({changed}): use another --workdir")


def open_workdir(workdir: Path, config: Config) -> None:
    """Makes the workdir and writes the config into it.

    Raises:
        CheckpointError: it cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        for partial in workdir.glob(".*.partial"):  # of a run that was killed while it wrote
            partial.unlink(missing_ok=True)
        write_json(workdir / CONFIG, to_dict(config))
    except OSError as error:
        raise CheckpointError(
            6, f"cannot write to workdir {workdir}: {error.strerror}; name another --workdir"
        ) from error


def write_environment(workdir: Path) -> None:
    """Records what this run runs on: versions, devices, commit, command line."""
    import jax  # not at the top: reading a workdir's JSON needs no JAX

    devices = jax.devices()
    write_json(
        workdir / ENVIRONMENT,
        {
            "argv": sys.argv,
            "commit": source_commit(),
            "devices": [d.device_kind for d in devices],
            "platform": devices[0].platform,
            "cpu_count": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "versions": versions(),
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
        },
    )


def read_json(file: Path) -> Any:
    """Reads a JSON file of a workdir.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        return json.loads(file.read_text())
    except OSError as error:
        raise CheckpointError(7, f"{file} cannot be read: {error.strerror}; is {file.parent} a workdir?") from error
    except ValueError as error:
        raise CheckpointError(8, f"{file} is damaged ({error}): restore it, or use another workdir") from error


def write_json(file: Path, value: Any) -> None:
    """Writes JSON so that the file is there whole or not at all."""
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}.partial")  # two drivers of a sweep write the same file
    try:
        with partial.open("w") as stream:
            json.dump(value, stream, indent=2, sort_keys=True)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def versions() -> dict[str, str | None]:
    """The versions of this package and of what it stands on; None where one is not installed."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def source_commit() -> str | None:
    """The commit of the source tree that runs, with `+` when it has uncommitted changes; None outside a repository.

    Results that have just been written, one benchmark or claim after another, do not change what runs.
    """
    source = Path(__file__).resolve().parents[2]
    try:
        git = ["git", "-C", str(source)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = [*git, "status", "--porcelain", "--", ":(top,exclude)experiments/results"]
        dirty = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if dirty.strip() else "")
