"""Runs benchmarks one after another; what each has found is kept after every block."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.bench.blocks import MINIMUM
from cnn_jax.bench.context import Context
from cnn_jax.bench.result import Result
from cnn_jax.bench.table import Benchmark
from cnn_jax.errors import CnnJaxError, ConfigError

THREADS = 2
_SMOKE_BLOCKS = 2
_VARIABLES = ("XLA_FLAGS", "GLIBC_TUNABLES")


class Settings(NamedTuple):
    """How benchmarks are run.

    Attributes:
        smoke: at sizes whose figures mean nothing.
        blocks: a side; None for as many as are needed.
        peer_python: the interpreter of the peers.
        overrides: `KEY=VALUE` for the config of a recipe.
    """

    smoke: bool
    blocks: int | None
    peer_python: Path
    overrides: Sequence[str] = ()


def run(
    benchmarks: Sequence[Benchmark],
    settings: Settings,
    sink: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Runs benchmarks; one that fails is noted in its result, and the others go on.

    Those for another platform than this one are left out, save at the size of a test.

    Args:
        benchmarks: which.
        settings: how.
        sink: is given the result of a benchmark after every block of it.
        say: tells the user how it goes on.

    Returns:
        The results, as JSON holds them.

    Raises:
        ConfigError: too few blocks, or none of the benchmarks is for this platform.
    """
    blocks = settings.blocks or (_SMOKE_BLOCKS if settings.smoke else MINIMUM)
    if blocks < MINIMUM and not settings.smoke:
        raise ConfigError(262, f"--blocks={blocks}: at least {MINIMUM} blocks a side, or --preset=smoke")
    with contextlib.ExitStack() as limits, _no_compilation_cache():
        threads = limits.enter_context(_threads(any(row.device == "cpu" for row in benchmarks)))
        import jax

        platform = "cpu" if jax.default_backend() == "cpu" else "gpu"
        if platform == "gpu":
            limits.close()
            threads = 0
        mine = [row for row in benchmarks if settings.smoke or row.device == platform]
        if not mine:
            names = ", ".join(row.id for row in benchmarks)
            raise ConfigError(263, f"{names}: this machine has no {benchmarks[0].device} for JAX, but a {platform}")
        for row in benchmarks:
            if row not in mine:
                say(f"{row.id} is left out: it is for a {row.device}")
        head = {
            "preset": "smoke" if settings.smoke else "full",
            "blocks": blocks,
            "threads": threads,
            **_surroundings(),
        }
        results: dict[str, dict[str, Any]] = {}
        for row in mine:
            about = {"id": row.id, "measures": row.measures, "device": row.device}
            result = Result({**about, **head}, row.targets, sink)
            with tempfile.TemporaryDirectory() as scratch:
                context = Context(
                    result, settings.smoke, blocks, settings.peer_python, threads, platform, Path(scratch),
                    lambda text, row=row: say(f"{row.id}: {text}"), settings.overrides, results,
                )  # fmt: skip
                try:
                    row.function()(context)
                    result.complete = True
                except Exception as error:  # such as a device out of memory: the others have their own chance
                    words = str(error) if isinstance(error, CnnJaxError) else f"{type(error).__name__}: {error}"
                    result.error = words.splitlines()[0]
                    say(f"{row.id}: {result.error}")
                finally:  # also when it is interrupted
                    result.save()
            results[row.id] = result.to_dict()
    return list(results.values())


@contextlib.contextmanager
def _threads(limited: bool) -> Iterator[int]:
    """As many processors as threads, before JAX counts them; children inherit it. 0 where nothing is limited."""
    if not limited or not hasattr(os, "sched_setaffinity"):
        yield 0
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:THREADS])
    try:
        yield THREADS
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _no_compilation_cache() -> Iterator[None]:
    """Compiling is measured: nothing may come from an earlier run."""
    import jax

    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)


def _surroundings() -> dict[str, Any]:
    from cnn_jax.sweep.ledger import environment_here

    return {
        "date": time.strftime("%Y-%m-%d"),
        "environment": environment_here(),
        "variables": {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)},
    }
