"""A run of several processes: how they find each other, agree, and end together.

Every process runs the same program over all devices (`jax.distributed`); arrays are global, control flow is each
process's own. What follows from a clock, a signal or the disk is therefore agreed on before it decides anything, and
the workdir is written by the first process alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from cnn_jax.errors import CnnJaxError, ConfigError, DivergedError, Preempted
from cnn_jax.train.stop import StopRequest

HEARTBEAT_SECONDS = 30
"""A process that answers no more is given up after so long. One that ended is noticed at once."""
_START_SECONDS = 120
_OURS = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
# What the collective operations say when the other end is gone: gloo, NCCL, the coordination service.
_LOST = ("gloo", "connection closed", "connection reset", "nccl", "coordination service", "heartbeat", "socket closed")
_LOST_LINE = "another process of this run has ended: start all of them again, they go on from the last checkpoint"


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        index: which one this is.
        count: how many there are.
    """

    index: int
    count: int

    @classmethod
    def here(cls) -> Processes:
        """Those that `start` connected, or this one alone."""
        return cls(jax.process_index(), jax.process_count())

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.index == 0

    def barrier(self, name: str) -> None:
        """Waits until all processes have come here."""
        if self.count > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(name)

    def all_of(self, value: float) -> list[float]:
        """This value of every process, in their order."""
        if self.count == 1:
            return [value]
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(np.float32(value))).reshape(-1).tolist()

    @contextlib.contextmanager
    def first_before_others(self, name: str) -> Iterator[None]:
        """The first process goes through alone; what it leaves in a cache serves the others."""
        if not self.first:
            self.barrier(name)
        yield
        if self.first:
            self.barrier(name)


class AgreedStop:
    """A `StopRequest` of several processes: a signal to one of them stops all at the same step.

    Args:
        stop: this process's own.
        processes: all of them.
    """

    def __init__(self, stop: StopRequest, processes: Processes):
        self._stop, self._processes = stop, processes
        self._agreed: str | None = None
        self.at = stop.at

    def agree(self) -> None:
        """To be called by all processes at the same step, before they ask."""
        if self._processes.count == 1:
            self._agreed = self._stop.requested
        elif any(self._processes.all_of(self._stop.requested is not None)):
            self._agreed = self._stop.requested or "a signal to another process"

    def due(self, step: int) -> bool:
        """Whether a run at this step is to stop."""
        if self._processes.count == 1:
            self.agree()  # alone, a signal counts up to the moment of asking
        return self._agreed is not None or step == self.at

    @property
    def reason(self) -> str:
        """What asked for the stop."""
        return self._agreed or self._stop.reason


def start(mode: str, environment: Mapping[str, str] = os.environ) -> None:
    """Connects the processes of a run; to be called before JAX looks for devices.

    Args:
        mode: `off`; `auto`, which connects if the environment says that there are others: `JAX_COORDINATOR_ADDRESS`
            (host:port of the first process), `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`, or those that Slurm, Open MPI
            and Cloud TPU set; `on`, for which it is an error if the environment says nothing.
        environment: the variables.

    Raises:
        ConfigError: variables that are missing or make no sense, or processes that do not come together in two minutes.
    """
    if mode == "off":
        return
    arguments = _arguments(environment)
    if arguments is None:
        if mode == "on":
            raise ConfigError(
                140,
                "--distributed=on, and nothing says where the other processes are: set JAX_COORDINATOR_ADDRESS "
                "(host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID, or start with srun or mpirun",
            )
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Ours is the loop's: it saves at a step that all agree on.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            **arguments,
            initialization_timeout=_START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            141, f"the processes of this run did not come together: {reason}; start all of them with one address"
        ) from error
    _say_why_on_abort()
    with _standard_output_aside():
        Processes.here().barrier("start")


@contextlib.contextmanager
def _standard_output_aside() -> Iterator[None]:
    """Gloo tells of its connections on standard output, which belongs to the command's result."""
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(ours, 1)
        os.close(ours)


def _arguments(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """What `jax.distributed.initialize` has to be told, or None if there is one process."""
    if any(name in environment for name in _OURS):
        missing = [name for name in _OURS if name not in environment]
        try:
            count, index = (int(environment.get(name, "0")) for name in _OURS[1:])
        except ValueError:
            count, index = -1, 0
        if missing or not 0 <= index < count:
            found = ", ".join(f"{name}={environment.get(name, '')}" for name in _OURS)
            raise ConfigError(
                142, f"{found}: an address HOST:PORT, a number of processes and this one's number below it are needed"
            )
        alone = {"num_processes": count, "process_id": index, "cluster_detection_method": "deactivate"}
        return {"coordinator_address": environment[_OURS[0]], **alone} if count > 1 else None
    if int(environment.get("SLURM_NTASKS", "1")) > 1 and "SLURM_STEP_NODELIST" in environment:
        return {"cluster_detection_method": "slurm", "local_device_ids": _slurm_devices(environment)}
    if int(environment.get("OMPI_COMM_WORLD_SIZE", "1")) > 1:
        return {"cluster_detection_method": "ompi"}
    if "," in environment.get("TPU_WORKER_HOSTNAMES", ""):
        return {}
    return None


def _slurm_devices(environment: Mapping[str, str]) -> list[int] | None:
    """Which of the visible GPUs are this task's.

    JAX takes the one of the task's number on its node, which is right only where all tasks of a node see all its GPUs
    and there are as many of one as of the other. With `--gpus-per-task` a task sees its own alone, and a task that has
    a node to itself has all that it sees.
    """
    visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not visible:
        return None
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE", environment.get("SLURM_TASKS_PER_NODE", "1"))
    tasks_here = int(tasks.partition("(")[0].partition(",")[0])
    if tasks_here > 1 and len(visible) == tasks_here:
        return [int(environment.get("SLURM_LOCALID", "0"))]
    return list(range(len(visible)))


@contextlib.contextmanager
def loss_named() -> Iterator[None]:
    """Turns the error of a collective whose other end is gone into one line, and ends this process without waiting.

    An orderly exit would wait at a barrier for the process that is gone, and then abort.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if jax.process_count() == 1 or not any(word in str(error).lower() for word in _LOST):
            raise
        sys.stdout.flush()
        _end()


@contextlib.contextmanager
def ended_together(*, debug: bool = False) -> Iterator[None]:
    """Lets a process of several that fails end at once, so that the others see it, instead of waiting for them.

    A stop that all agreed on and a divergence that all see end in order.

    Args:
        debug: whether to show the traceback of an error.
    """
    try:
        yield
    except Exception as error:
        if jax.process_count() == 1 or (isinstance(error, Preempted | DivergedError) and not debug):
            raise
        if debug or not isinstance(error, CnnJaxError):
            traceback.print_exc()
        else:
            print(f"cnn-jax: {error}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.exit_status if isinstance(error, CnnJaxError) else 1)


def _end() -> None:
    os.write(2, f"cnn-jax: {Preempted(3, _LOST_LINE)}\n".encode())
    os._exit(Preempted.exit_status)


def _say_why_on_abort() -> None:
    """When the first process ends, with it the service that connects all, XLA aborts the others with a stack trace.

    It does so from a thread of its own, where no handler of Python runs; a C function does. It cannot save anything,
    but it can say the one line and exit as for any other loss.
    """
    global _on_abort
    _on_abort = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: _end())
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(int(signal.SIGABRT), _on_abort)


_on_abort: Any = None  # C keeps a pointer to it
