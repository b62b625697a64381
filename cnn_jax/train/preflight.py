"""What is checked before compute is spent: memory, disk, one save and restore; and what a run is going to be."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.train.build import DataSpec, Program
from cnn_jax.train.checkpoint import KEEP, Checkpoints
from cnn_jax.train.feed import host_bytes
from cnn_jax.train.memory import free_memory
from cnn_jax.train.state import TrainState

# The best, the latest ones and the one being written.
_COPIES = KEEP + 2


class Preflight(NamedTuple):
    """What a run is going to be. Sizes in bytes.

    Attributes:
        total_steps: updates.
        epochs: passes over the training split.
        parameters: trainable numbers.
        state_bytes: parameters, optimiser, statistics and averages.
        data_bytes: all splits, on the device; streamed, what is read ahead, on the host and on the device.
        activation_bytes: what one part of a batch keeps for its gradient on a device, before the compiler saves any;
            most of the parameters are in it once more, which stands for the gradient's own size.
        device_bytes: memory of the device that is free, or None where it does not say.
        disk_bytes: all the checkpoints that are kept at one time.
        disk_free_bytes: free where the workdir is.
    """

    total_steps: int
    epochs: float
    parameters: int
    state_bytes: int
    data_bytes: int
    activation_bytes: int
    device_bytes: int | None
    disk_bytes: int
    disk_free_bytes: int

    @property
    def memory_bytes(self) -> int:
        """What a device holds at the same time, about."""
        return self.state_bytes + self.data_bytes + self.activation_bytes

    def lines(self) -> list[str]:
        """For people."""
        have = f" of {_size(self.device_bytes)}" if self.device_bytes else ""
        lines = [
            f"{self.total_steps:,} steps ({self.epochs:.3g} epochs), {self.parameters:,} parameters; memory about "
            f"{_size(self.memory_bytes)}{have}; checkpoints {_size(self.disk_bytes)} of {_size(self.disk_free_bytes)}"
        ]
        if self.device_bytes and self.memory_bytes > self.device_bytes:
            lines.append("this may not fit into memory: lower config.batch_size, or raise config.accumulate")
        return lines


def preflight(program: Program, config: Any, spec: DataSpec, workdir: Path, *, members: int = 1) -> Preflight:
    """Estimates a run, or `members` of them at once, and refuses what cannot work; computes nothing.

    Raises:
        ConfigError: state and data alone exceed the device's memory.
        CheckpointError: the disk cannot hold the checkpoints.
    """
    state = program.abstract_state
    state_bytes = members * _bytes(jax.tree.leaves(state))
    image_bytes = int(np.prod(spec.image_shape)) + 4
    data_bytes = sum(spec.sizes.values()) * image_bytes
    if spec.streamed:
        data_bytes = host_bytes(config.batch_size * image_bytes, program.max_steps, config.workers)
    found = Preflight(
        program.total_steps,
        program.total_steps * config.batch_size / spec.sizes["train"],
        sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        state_bytes,
        data_bytes,
        program.shelf.value("activations", lambda: _activations(program, _part(program, config), spec.image_shape)),
        free_memory(program.layout.local_devices[0]),
        _COPIES * state_bytes,
        shutil.disk_usage(next(p for p in (workdir, *workdir.absolute().parents) if p.exists())).free,
    )
    least = found.state_bytes + found.data_bytes
    if found.device_bytes is not None and least > found.device_bytes:
        raise ConfigError(
            108,
            f"the network's state ({_size(state_bytes)}) and the data ({_size(found.data_bytes)}) do not fit into the "
            f"{_size(found.device_bytes)} free on {program.layout.devices[0]}: use smaller images or a smaller network",
        )
    have = _bytes_of_files(workdir / "checkpoints")
    if found.disk_bytes - have > found.disk_free_bytes:
        raise CheckpointError(
            31,
            f"{workdir} has {_size(found.disk_free_bytes)} free and the checkpoints need {_size(found.disk_bytes)} "
            f"({_COPIES} of {_size(state_bytes)}): free some, or use another --workdir",
        )
    return found


def try_checkpoint(checkpoints: Checkpoints, state: TrainState) -> float:
    """Saves a state and restores it, as a rehearsal; leaves nothing behind.

    Returns:
        Seconds it took.

    Raises:
        CheckpointError: it cannot be written, or comes back different.
    """
    started = time.perf_counter()
    rehearsal = Checkpoints(checkpoints.directory / ".preflight", lambda a, b: False)
    try:
        rehearsal.save(0, state, {})
        restored, _ = rehearsal.restore(0, state)
        for ours, theirs in zip(_host(state), _host(restored), strict=True):
            if not np.array_equal(ours, theirs, equal_nan=True):
                where = checkpoints.directory
                raise CheckpointError(
                    32,
                    f"a checkpoint in {where} does not read back as written: is that disk sound? Use another --workdir",
                )
    finally:
        shutil.rmtree(rehearsal.directory, ignore_errors=True)
    return time.perf_counter() - started


def _host(tree: Any) -> list[np.ndarray]:
    leaves = jax.tree.leaves(tree)
    keys = [jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    return jax.device_get([jax.random.key_data(x) if key else x for x, key in zip(leaves, keys, strict=True)])


def _part(program: Program, config: Any) -> int:
    """Images that a device has in hand at a time."""
    return config.batch_size // config.accumulate // program.layout.num_devices


def _activations(program: Program, images: int, image_shape: tuple[int, ...]) -> int:
    """What the backward pass of so many images reads: the residuals of the traced gradient."""
    state = program.abstract_state
    batch = {
        "image": jax.ShapeDtypeStruct((images, *image_shape), jnp.uint8),
        "label": jax.ShapeDtypeStruct((images,), jnp.int32),
    }

    def residuals(params: Any, model_state: Any, batch: Any, key: jax.Array) -> Any:
        return jax.vjp(lambda p: program.task.loss({"params": p, **model_state}, batch, key)[0], params)[1]

    found = jax.eval_shape(residuals, state.params, state.model_state, batch, jax.random.key(0))
    return _bytes(jax.tree.leaves(found))


def _bytes(leaves: Iterable[Any]) -> int:
    return sum(
        leaf.size * (8 if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf.dtype.itemsize)
        for leaf in leaves
    )


def _bytes_of_files(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def _size(number: int) -> str:
    value = float(number)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"
