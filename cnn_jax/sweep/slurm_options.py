"""`--slurm.KEY=VALUE`: what a sweep asks a cluster for, checked for its form before anything is submitted.

Keys are the long options of `sbatch`. Slurm itself judges what they say; here a value becomes what submitit takes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any

from cnn_jax.errors import ConfigError

PARALLELISM = "array_parallelism"
_NUMBERS = (
    "time", "gpus_per_node", "gpus_per_task", "cpus_per_task", "cpus_per_gpu", PARALLELISM, "signal_delay_s",
)  # fmt: skip
_DIRECT = (*_NUMBERS, "setup", "srun_args")
"""What submitit has to know of; everything else goes to `sbatch` as it is."""
# A cell is one process, and the jobs' files and signals are how its end is known.
_OURS = (
    "additional_parameters", "array", "command", "error", "folder", "job_name", "map_count", "nodes", "ntasks",
    "ntasks_per_node", "num_gpus", "open_mode", "output", "signal", "stderr_to_stdout", "tasks_per_node", "teardown",
    "use_srun", "wrap",
)  # fmt: skip


def read_options(texts: Iterable[str]) -> dict[str, Any]:
    """The keywords of submitit's `SlurmExecutor.update_parameters`.

    Args:
        texts: `KEY=VALUE`; of a key given twice, the last counts. `True` makes an option without a value. `time` is
            in minutes, `setup` a line of shell that runs before Python, `srun_args` a line of options.

    Raises:
        ConfigError: no key, no value, no whole number where one is needed, or a key that the sweep sets itself.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.replace("-", "_")
        if not equals or not value or not re.fullmatch("[a-z][a-z0-9_]*", key) or not value.isprintable():
            raise ConfigError(300, f"--slurm.{text}: write --slurm.KEY=VALUE, such as --slurm.partition=gpu")
        if key in _OURS:
            raise ConfigError(301, f"--slurm.{text}: the sweep sets {key} itself; a cell is one process on one node")
        found[key] = _value(key, value)
    options = {key: found.pop(key) for key in _DIRECT if key in found}
    if "cpus_per_task" in options:  # from 22.05 on, srun does not take it from its job
        options["srun_args"] = [f"--cpus-per-task={options['cpus_per_task']}", *options.get("srun_args", [])]
    return {**options, **({"additional_parameters": found} if found else {})}


def _value(key: str, value: str) -> Any:
    if key in _NUMBERS:
        if not re.fullmatch("[0-9]{1,7}", value) or int(value) == 0:
            unit = " of minutes" if key == "time" else ""
            raise ConfigError(302, f"--slurm.{key}={value}: write a whole number{unit} above 0")
        return int(value)
    if key == "setup":
        return [value]
    if key == "srun_args":
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ConfigError(300, f"--slurm.{key}={value}: {error}") from error
    return True if value == "True" else value
