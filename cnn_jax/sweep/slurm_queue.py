"""Slurm: a job submitted, and what has become of the tasks of jobs. Without accounting, it forgets jobs in minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cnn_jax.errors import ConfigError
from cnn_jax.sweep.cells import Packed
from cnn_jax.sweep.slurm_task import run_task

# States of a task that is over. All others, also those of a later Slurm, count as queued or running.
_OVER = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
_FAULTS = {"FAILED", "OUT_OF_MEMORY"}
_PREEMPTED = 75


class Task(NamedTuple):
    """What is known of one task of a job.

    Attributes:
        id: the job's number, with the task's behind it for an array: `12_3`.
        state: Slurm's word.
        status: its exit status, negative for a signal; None when it is not known.
    """

    id: str
    state: str
    status: int | None = None

    @property
    def live(self) -> bool:
        """Whether it is queued or runs."""
        return self.state not in _OVER

    @property
    def faulty(self) -> bool:
        """Whether it ended by a fault of its own, and not because it was stopped."""
        return self.state in _FAULTS and self.status != _PREEMPTED


class Cluster(Protocol):
    """Something that runs jobs."""

    def submit(self, name: str, chunks: Sequence[Sequence[Packed]], workdir: Path, folder: Path) -> list[str]:
        """Submits a job with a task for each chunk; the ids of the tasks."""
        ...

    def tasks(self, names: Iterable[str]) -> dict[tuple[str, int], Task]:
        """The tasks of jobs by these names that are queued, run or have just ended, by name and number."""
        ...


class Slurm:
    """The cluster whose `sbatch` and `squeue` are at hand.

    Args:
        options: by `read_options`.

    Raises:
        ConfigError: submitit is not installed, or this machine submits no jobs.
    """

    def __init__(self, options: Mapping[str, Any]):
        self._submitit, self._options = load_submitit(), dict(options)
        missing = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
        if missing:
            where = "run it where jobs are submitted, or use --launcher=commands"
            raise ConfigError(304, f"--launcher=slurm: no {' and no '.join(missing)} on this machine: {where}")

    def submit(self, name: str, chunks: Sequence[Sequence[Packed]], workdir: Path, folder: Path) -> list[str]:
        """Submits a job with a task for each chunk.

        Raises:
            ConfigError: Slurm refuses it.
        """
        executor = self._submitit.SlurmExecutor(folder)
        # Without a word from the user, the limit is the partition's, and not the five minutes of submitit.
        executor.update_parameters(
            **{"time": None, "wckey": None, **self._options, "job_name": name, "stderr_to_stdout": True}
        )
        journals = [str(journal_of(folder, name, index)) for index in range(len(chunks))]
        try:
            jobs = executor.map_array(run_task, chunks, [str(workdir)] * len(chunks), journals)
        except self._submitit.core.utils.FailedJobError as error:
            said = [line.strip() for line in str(error).splitlines() if "error:" in line]
            raise ConfigError(305, f"Slurm refuses the job: {said[-1] if said else error}") from None
        return [job.job_id for job in jobs]

    def tasks(self, names: Iterable[str]) -> dict[tuple[str, int], Task]:
        """The tasks that Slurm knows of.

        Raises:
            ConfigError: it does not answer; nothing follows from that about the jobs.
        """
        wanted = sorted(names)
        if not wanted:
            return {}
        # Fields of a fixed width would cut a long one.
        fields = "JobArrayID:|,State:|,exit_code:|,Name:|"
        command = [
            "squeue",
            "--array",
            "--noheader",
            "--states=all",
            f"--name={','.join(wanted)}",
            f"--Format={fields}",
        ]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            raise ConfigError(306, "squeue does not answer within two minutes; try again later") from None
        if told.returncode:
            said = " ".join(told.stderr.split())
            raise ConfigError(306, f"squeue does not tell which jobs there are; try again later: {said}")
        return dict(filter(None, map(_parsed, told.stdout.splitlines())))


def load_submitit() -> Any:
    """The library, which is not always there.

    Raises:
        ConfigError: it is not installed.
    """
    # On import it would configure logging anew and close the handlers of everybody. Jobs inherit the variable.
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
    try:
        import submitit
    except ImportError:
        raise ConfigError(303, "--launcher=slurm needs submitit: pip install 'cnn-jax[slurm]'") from None
    return submitit


def journal_of(folder: Path, name: str, index: int) -> Path:
    """Where a task tells what it is at."""
    return folder.absolute() / f"{name}-{index}.jsonl"


def log_of(folder: Path, task_id: str) -> Path:
    """What a task printed."""
    return folder / f"{task_id}_0_log.out"


def _parsed(line: str) -> tuple[tuple[str, int], Task] | None:
    parts = [part.strip() for part in line.split("|")]
    if len(parts) < 4:
        return None
    task_id, state, status, name = parts[:4]
    index = task_id.partition("_")[2] or "0"
    if not index.isdecimal():
        return None
    code = os.waitstatus_to_exitcode(int(status)) if status.isdecimal() else None
    return (name, int(index)), Task(task_id, state, code)
