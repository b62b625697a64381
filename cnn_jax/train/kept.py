"""Programs kept from one process to the next, found by what they were made of and not traced again.

JAX's compilation cache saves XLA's work but has to trace and lower a program to find it, which of a second launch of a
sweep is nearly all the time. Here a program is found by the hash of its config and of its data's description, of this
package's source, the versions beneath it, the devices and the options. Where any of these has changed it is traced, and
where the program is the same all the same, its executable is found by the program's own hash.

What is kept are executables: what runs after a second launch are the very instructions that ran after the first one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import platform
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
from jax.experimental import serialize_executable

from cnn_jax.ops.plain import is_plain
from cnn_jax.ops.product_conv import is_product
from cnn_jax.train.cache import caches, runs_often, user_cache
from cnn_jax.train.workdir import versions

_T = TypeVar("_T")
_DIGEST = hashlib.sha256
_PACKAGE = Path(__file__).parents[1]


class Shelf:
    """What is kept of one program.

    Args:
        made_of: the texts that decide what it is, in this version of the package; nothing outlives the process where
            there are none.
    """

    def __init__(self, *made_of: str):
        self._made_of = made_of
        self._values: dict[str, Any] = {}

    @functools.cached_property
    def _source(self) -> str:
        return _source()

    def value(self, name: str, make: Callable[[], _T]) -> _T:
        """What `make()` gives, a small value that can be pickled; it is asked once."""
        if name not in self._values:
            file = self.file("value", name)
            found = _read(file)
            if found is None:
                found = (make(),)
                _write(file, found)
            self._values[name] = found[0]
        return self._values[name]

    def has(self, name: str) -> bool:
        """Whether the value of this name is there, from this process or another."""
        return name in self._values or _read(self.file("value", name)) is not None

    def function(self, name: str, jitted: Any) -> Any:
        """The function, kept; as it is among several processes, or where it is no function under `jax.jit`."""
        return Kept(jitted, name, self) if jax.process_count() == 1 and hasattr(jitted, "lower") else jitted

    def file(self, *what: str) -> Path | None:
        """Where something of the program is kept, or None where nothing is."""
        if not self._made_of or not caches():
            return None
        return user_cache() / "programs" / _hash(*self._made_of, self._source, *_environment(), *what)


class Kept:
    """A function under `jax.jit` whose executables are kept, here and, where its shelf has files, for other processes.

    Args:
        jitted: the function.
        name: its name among the functions of its program.
        shelf: of the program.
    """

    def __init__(self, jitted: Any, name: str, shelf: Shelf):
        self._jitted, self._name, self._shelf = jitted, name, shelf
        self._compiled: dict[Any, Any] = {}

    def __call__(self, *args: Any) -> Any:
        """Runs the function. It is no part of other functions: these have it uncompiled."""
        return self.prepared(*args)(*args)

    def prepared(self, *args: Any) -> Any:
        """The executable for arguments such as these, found or compiled, and not run."""
        leaves, tree = jax.tree.flatten(args)
        kind = tree, *((x.shape, x.dtype, getattr(x, "sharding", None)) for x in leaves)
        if kind not in self._compiled:
            self._compiled[kind] = self._find(args, list(map(str, kind)))
        return self._compiled[kind]

    def lower(self, *args: Any) -> Any:
        """As of `jax.jit`."""
        return self._jitted.lower(*args)

    def _cache_size(self) -> int:
        """Kinds of arguments that it was called with, as of `jax.jit`."""
        return len(self._compiled)

    def _find(self, args: Any, kind: Sequence[str]) -> Any:
        pointer = self._shelf.file(self._name, *kind)
        place = _read(pointer)
        compiled = _load(place) if place else None
        if compiled is not None:
            return compiled
        lowered = self._jitted.lower(*args)
        if pointer is None or place == _CANNOT_BE_KEPT:
            return lowered.compile()
        trees = (str(lowered.in_tree), str(lowered.out_tree))
        place = f"executables/{_hash(*_environment(), self._name, *kind, *trees, lowered.as_text())}"
        compiled = _load(place)
        if compiled is None:
            with _apart_from_xlas_cache() as was_there:
                compiled = lowered.compile()
            if was_there:
                return compiled
            written = _written_down(compiled)
            if written is None:
                place = _CANNOT_BE_KEPT
            elif not _write(user_cache() / place, written):
                return compiled
        _write(pointer, place)
        return compiled


_CANNOT_BE_KEPT = ""
"""Where a program stands that this version of JAX or this backend cannot write down: JAX's own cache has it."""


def _load(place: str) -> Any:
    found = _read(user_cache() / place)
    if found is None:
        return None
    executable, trees, ids = found
    devices = {device.id: device for device in jax.devices()}
    with contextlib.suppress(Exception):  # whatever a version of XLA says of what it does not take
        chosen = [devices[number] for number in ids]
        return serialize_executable.deserialize_and_load(executable, *trees, execution_devices=chosen)
    return None


def _written_down(compiled: Any) -> Any:
    """What `_load` reads, or None of what cannot be written down, such as a program with large constants."""
    try:
        executable, *trees = serialize_executable.serialize(compiled)
        shardings = jax.tree.leaves(compiled.input_shardings)
        ids = sorted(device.id for device in shardings[0].device_set)
        return executable, trees, ids
    except Exception:  # whatever a version of JAX says of what it cannot write down
        return None


def _read(file: Path | None) -> Any:
    """What a file holds, or None where it is missing, damaged, or of another time."""
    with contextlib.suppress(Exception):  # unpickling raises anything
        content = b"" if file is None else file.read_bytes()
        digest, payload = content[: _DIGEST().digest_size], content[_DIGEST().digest_size :]
        if payload and _DIGEST(payload).digest() == digest:
            return pickle.loads(payload)
    return None


def _write(file: Path | None, value: Any) -> bool:
    """Writes a file whole or not at all; whether it did: a full disk is not what a run ends of."""
    if file is None:
        return False
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}.partial")
    try:
        payload = pickle.dumps(value)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(_DIGEST(payload).digest() + payload)
        partial.replace(file)
    except (OSError, pickle.PicklingError):
        return False
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return True


def _hash(*lines: str) -> str:
    digest = _DIGEST()
    for line in lines:
        digest.update(f"{len(line)}\n{line}".encode())
    return digest.hexdigest()


_ELSEWHERE = ("dir", "cache", "logging", "log_", "traceback")


def _environment() -> tuple[str, ...]:
    """All that decides what a program becomes, but for its source."""
    # Directories, caches and logs, which change nothing, are left out; of the rest each may.
    options = {k: v for k, v in jax.config.values.items() if not any(word in k for word in _ELSEWHERE)}
    return (*_machine(), str(sorted(runs_often().items())), str(options), str((is_plain(), is_product())))


@functools.cache
def _machine() -> tuple[str, ...]:
    device = jax.devices()[0]
    flags = ""
    with contextlib.suppress(OSError):
        flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    kinds = [(device.id, device.device_kind, device.process_index) for device in jax.devices()]
    chosen = {name: os.environ.get(name, "") for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")}
    beneath = (platform.machine(), platform.python_version(), *sorted(versions().items()))
    return str(beneath), device.client.platform_version, str(kinds), flags, str(chosen)


def _source() -> str:
    """Of this package, as it is on the disk now: whoever edits it while a notebook runs gets what was edited."""
    names = sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(_PACKAGE) for name in names if name.endswith(".py")
    )
    return _content(tuple((name, stat.st_mtime_ns, stat.st_size) for name in names for stat in (os.stat(name),)))


@functools.lru_cache(maxsize=1)
def _content(files: tuple[tuple[str, int, int], ...]) -> str:
    contents = ((Path(name).relative_to(_PACKAGE), _DIGEST(Path(name).read_bytes())) for name, *_ in files)
    return _hash(*(f"{name} {digest.hexdigest()}" for name, digest in contents))


_one_at_a_time = threading.Lock()
_hits: list[str] = []


@contextlib.contextmanager
def _apart_from_xlas_cache() -> Iterator[list[str]]:
    """Within, what is compiled is not written to JAX's cache; filled with what was found there.

    An executable that was read cannot be written again: XLA:CPU leaves out functions of it, and it fails when it runs.
    """
    _listen()
    name = "jax_persistent_cache_min_compile_time_secs"
    with _one_at_a_time:
        before, hits = jax.config.values[name], len(_hits)
        found: list[str] = []
        jax.config.update(name, float("inf"))
        try:
            yield found
        finally:
            jax.config.update(name, before)
            found.extend(_hits[hits:])


@functools.cache
def _listen() -> None:
    def heard(event: str, **_: Any) -> None:
        if event == "/jax/compilation_cache/cache_hits":
            _hits.append(event)

    jax.monitoring.register_event_listener(heard)
