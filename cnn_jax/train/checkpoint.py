"""Checkpoints: the one module that knows Orbax.

A checkpoint is a directory `checkpoints/<step>/` with the state as Orbax writes it, and a `MANIFEST.json` with the
sha256 of every file, the metrics and whatever else the loop needs to go on. It is written under a temporary name and
renamed when complete, so that a directory with a step's name is a whole checkpoint or has been tampered with. Every
file's hash is compared before anything is restored: Orbax itself restores most flipped bits without a word.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp
from orbax.checkpoint.experimental.v1._src.synchronization import multihost

from cnn_jax.errors import CheckpointError

_MANIFEST = "MANIFEST.json"
# What tensorstore says somewhere within several lines.
_REASONS = ("No space left on device", "Read-only file system", "Permission denied", "Input/output error")
_FORMAT = 2  # 1 had no digest of the manifest itself
KEEP = 2
"""How many of the latest checkpoints stay besides the best."""
_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One sound-looking checkpoint on disk.

    Attributes:
        step: updates made.
        path: its directory.
        meta: what `save` was given, JSON.
        leaves: `dtype[shape]` of each array by name.
        files: sha256 of each file by its path within the directory.
    """

    step: int
    path: Path
    meta: dict[str, Any]
    leaves: dict[str, str]
    files: dict[str, str]

    def damage(self) -> str | None:
        """What is wrong with the files, or None: `params/...: sha256 differs`."""
        for name, digest in self.files.items():
            file = self.path / name
            if not file.is_file():
                return f"{name} is missing"
            if _sha256(file) != digest:
                return f"{name}: sha256 differs"
        return None


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
        directory: `W/checkpoints`.
        better: `(meta_a, meta_b) -> bool`, whether the first is strictly better; decides which one is `best`.
        keep: how many of the latest to keep besides the best.
    """

    def __init__(self, directory: Path, better: Callable[[Mapping, Mapping], bool], keep: int = KEEP):
        self.directory = directory
        self._better = better
        self._keep = keep

    def all(self) -> list[Checkpoint]:
        """Every complete checkpoint, oldest first; a directory without a readable manifest is reported and left out."""
        found = []
        for path in sorted(self.directory.glob("[0-9]*")):
            try:
                manifest = json.loads((path / _MANIFEST).read_text())
                if manifest["digest"] != _digest(manifest):
                    raise ValueError("its digest differs")
                found.append(Checkpoint(int(path.name), path, *(manifest[key] for key in ("meta", "leaves", "files"))))
            except (OSError, ValueError, KeyError, TypeError) as error:
                _logger.warning("E-CKPT-03: step %s is damaged (%s: %s); left out", path.name, _MANIFEST, error)
        return found

    def best(self) -> Checkpoint | None:
        """The best by `better`; of equals the earliest."""
        return next(iter(self._ranked(self.all())), None)

    def _ranked(self, every: list[Checkpoint]) -> list[Checkpoint]:
        """Best first; of those that `better` does not tell apart the earliest."""
        ranked: list[Checkpoint] = []
        for checkpoint in every:
            worse = (i for i, other in enumerate(ranked) if self._better(checkpoint.meta, other.meta))
            ranked.insert(next(worse, len(ranked)), checkpoint)
        return ranked

    def choose(self, step: str | int) -> list[Checkpoint]:
        """The checkpoint that `step` names, then those to fall back to when it is damaged: newest or best first.

        Args:
            step: `"best"`, `"latest"` or a number of steps.

        Raises:
            CheckpointError: no checkpoint at all, or none of that step; lists those there are.
        """
        every = self.all()
        if not every:
            raise CheckpointError(1, f"no checkpoint in {self.directory}: train first, or name another workdir")
        if step == "latest":
            return every[::-1]
        if step == "best":
            return self._ranked(every)
        first = next((c for c in every if str(c.step) == str(step)), None)
        if first is None:
            have = ", ".join(str(c.step) for c in every)
            raise CheckpointError(2, f"no checkpoint of step {step} in {self.directory}: use best, latest or {have}")
        return [first]

    def save(self, step: int, state: Any, meta: Mapping[str, Any]) -> None:
        """Writes a checkpoint durably, then removes those no longer wanted.

        Args:
            step: updates made.
            state: a pytree of arrays.
            meta: JSON that comes back with the checkpoint.

        Raises:
            CheckpointError: the disk is full or cannot be written; earlier checkpoints stay as they were.
        """
        final = self.directory / f"{step:08d}"
        partial = self.directory / f".partial-{step:08d}"
        arrays = _named(state)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            with _orbax_silent(), _alone():
                ocp.save(
                    str(partial.absolute() / "state"), {name: _host(_storable(leaf)) for name, leaf in arrays.items()}
                )
            manifest = {
                "format": _FORMAT,
                "step": step,
                "meta": dict(meta),
                "leaves": {name: _spec(leaf) for name, leaf in arrays.items()},
                "files": {str(f.relative_to(partial)): _sha256(f) for f in sorted(partial.rglob("*")) if f.is_file()},
            }
            manifest["digest"] = _digest(manifest)
            _write_durably(partial / _MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
            if final.exists():
                shutil.rmtree(final)
            partial.rename(final)
            _fsync(self.directory)
        except (OSError, ValueError) as error:  # Orbax and tensorstore report a full disk as ValueError
            shutil.rmtree(partial, ignore_errors=True)
            raise self._cannot_write(step, arrays, error) from error
        self._prune()

    def restore(self, step: str | int, like: Any) -> tuple[Any, Checkpoint]:
        """Reads a checkpoint after verifying every file of it.

        Args:
            step: `"best"`, `"latest"` or a number. `"latest"` falls back to the newest sound one and `"best"` to the
                next best, with a warning.
            like: a state of the same structure, abstract or real.

        Returns:
            The state on the first device, and the checkpoint it came from.

        Raises:
            CheckpointError: nothing sound to restore, or a state of another structure, its leaf named.
        """
        checkpoint = self._sound(step)
        return _read(checkpoint, like), checkpoint

    def restore_variables(self, step: str | int, like: Any = None) -> tuple[dict[str, Any], Checkpoint]:
        """Reads the variables alone, whatever optimiser made them: the averaged ones where an average was kept.

        Args:
            step: as in `restore`.
            like: variables of the structure they must have, abstract or real; None takes what there is.

        Returns:
            `{"params", ...}`, nested by name, on the first device, and the checkpoint.

        Raises:
            CheckpointError: nothing sound to restore, or variables of another structure, the array named.
        """
        checkpoint = self._sound(step)
        averaged = "average." if any(name.startswith("average.") for name in checkpoint.leaves) else ""
        wanted = {}
        for name, spec in checkpoint.leaves.items():
            if name.startswith(averaged or ("params.", "model_state.")):
                dtype, _, shape = spec.partition("[")
                sizes = tuple(int(size) for size in shape.rstrip("]").split(",") if size)
                wanted[name] = jax.ShapeDtypeStruct(sizes, dtype)
        if like is not None:
            names = {averaged + name if averaged or name.startswith("params.") else f"model_state.{name}": leaf
                     for name, leaf in _named(like).items()}  # fmt: skip
            _check_fits(checkpoint, names, set(wanted))
        arrays = _load(checkpoint, wanted)
        variables: dict[str, Any] = {}
        for name, array in arrays.items():
            *parents, last = name.removeprefix(averaged).removeprefix("model_state.").split(".")
            at = variables
            for parent in parents:
                at = at.setdefault(parent, {})
            at[last] = array
        return variables, checkpoint

    def set_aside(self, after: int) -> None:
        """Moves checkpoints past a step out of the way, to `damaged-STEP`: a run that fell back to it writes its own.

        Args:
            after: the step of the checkpoint that was restored.
        """
        for path in sorted(self.directory.glob("[0-9]*")):
            if int(path.name) > after:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)

    def _sound(self, step: str | int) -> Checkpoint:
        """The first of those that `step` chooses whose files are as they were written; others are warned of."""
        choices = self.choose(step)
        for checkpoint, older in zip(choices, [*choices[1:], None], strict=True):
            damage = checkpoint.damage()
            if damage is None:
                return checkpoint
            others = [str(c.step) for c in self.all() if c.step != checkpoint.step] if len(choices) == 1 else []
            none = f"there are also {', '.join(others)}, best and latest" if others else "nothing sound is left to use"
            using = f"using step {older.step}" if older else none
            message = f"step {checkpoint.step} in {self.directory} is damaged ({damage}): {using}"
            if older is None:
                raise CheckpointError(3, message)
            _logger.warning("E-CKPT-03: %s", message)
        raise AssertionError("choose() never returns an empty list")

    def _prune(self) -> None:
        every, best = self.all(), self.best()
        keep = {c.step for c in every[-self._keep :]} | ({best.step} if best else set())
        for checkpoint in every:
            if checkpoint.step not in keep:
                shutil.rmtree(checkpoint.path)

    def _cannot_write(self, step: int, arrays: Mapping[str, Any], error: Exception) -> CheckpointError:
        needed = sum(leaf.size * _storable(leaf).dtype.itemsize for leaf in arrays.values())
        existing = next(path for path in (self.directory, *self.directory.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free
        reason = getattr(error, "strerror", None) or next(
            (words for words in _REASONS if words in str(error)), str(error).splitlines()[0]
        )
        return CheckpointError(
            5,
            f"cannot write step {step} to {self.directory}: {reason} "
            f"(about {needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free); earlier checkpoints are intact",
        )


def _read(checkpoint: Checkpoint, like: Any) -> Any:
    want = _named(like)
    _check_fits(checkpoint, want, set(checkpoint.leaves))
    arrays = _load(checkpoint, {name: jax.eval_shape(_storable, leaf) for name, leaf in want.items()})
    leaves = [jax.random.wrap_key_data(arrays[n]) if _is_key(leaf) else arrays[n] for n, leaf in want.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _check_fits(checkpoint: Checkpoint, want: Mapping[str, Any], there_are: set[str]) -> None:
    for name in sorted(there_are | want.keys()):
        here = _spec(want[name]) if name in want else "absent"
        there = checkpoint.leaves.get(name, "absent")
        if here != there:
            raise CheckpointError(
                4,
                f"step {checkpoint.step} in {checkpoint.path.parent} does not fit this run: {name} is {there} in the "
                f"checkpoint and {here} here; use the config that made it",
            )


def _load(checkpoint: Checkpoint, like: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of these names, which the manifest has, on the first device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding) for name, x in like.items()}
    if jax.process_count() > 1:
        abstract = {name: np.empty(x.shape, x.dtype) for name, x in like.items()}
    with _alone():
        return ocp.load(str(checkpoint.path.absolute() / "state"), abstract)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keeps Orbax from waiting for other processes of a run: one writes, and each reads for itself what it asks for."""
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    if jax.process_count() == 1:
        with context:
            yield
        return
    this = jax.process_index()
    context.multiprocessing.primary_host = this
    context.multiprocessing.active_processes = {this}
    context.multiprocessing.barrier_sync_key_prefix = f"process-{this}"
    # Whatever the context says, Orbax 0.12 compares the path with all processes before it saves.
    with context, mock.patch.object(multihost, "process_count", return_value=1):
        yield


@contextlib.contextmanager
def _orbax_silent() -> Iterator[None]:
    """Keeps Orbax's threads from printing tracebacks of an error that is raised, and then told in one line."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _named(tree: Any) -> dict[str, Any]:
    """Every leaf by its path, `params.conv1.kernel`, in the tree's order."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in flat}


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _storable(leaf: Any) -> Any:
    """PRNG keys are stored as the integers that they are made of."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _host(leaf: Any) -> Any:
    """Orbax does not write arrays of one process among several; NumPy's it does."""
    return leaf if jax.process_count() == 1 else np.asarray(leaf)


def _spec(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def _digest(manifest: Mapping[str, Any]) -> str:
    """sha256 of a manifest but for its own digest."""
    content = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_durably(file: Path, text: str) -> None:
    with file.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _fsync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
