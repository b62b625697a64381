"""How programs are compiled: once, and kept; lightly, if they run once; with the faster kernels, if they run often."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import jax


def user_cache() -> Path:
    """Where what can be made again is kept: `$CNN_JAX_CACHE`, by default `~/.cache/cnn_jax`."""
    return Path(os.environ.get("CNN_JAX_CACHE") or Path.home() / ".cache" / "cnn_jax")


def use_compilation_cache() -> None:
    """Turns the cache on, for short compilations too: a sweep is made of them.

    The directory is `$CNN_JAX_CACHE/xla`, by default `~/.cache/cnn_jax/xla`. A cache that the user chose through
    `JAX_COMPILATION_CACHE_DIR` stays. `--no_cache` keeps it off, by `CNN_JAX_NO_CACHE=1` for the processes that are
    started as well; so does `JAX_ENABLE_COMPILATION_CACHE=0`.
    """
    if os.environ.get("CNN_JAX_NO_CACHE"):
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(user_cache() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def caches() -> bool:
    """Whether what is compiled is kept for other processes."""
    return bool(jax.config.values["jax_enable_compilation_cache"] and jax.config.values["jax_compilation_cache_dir"])


def runs_once() -> dict[str, int]:
    """`compiler_options` for a program that runs once, such as an initialiser: a quarter of the time, the same values.

    XLA:CPU spends seconds optimising the random bits of a network's initialisers, which then run for milliseconds.
    Other backends have other options and compile as always.
    """
    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}


@functools.cache
def runs_often() -> dict[str, str]:
    """`compiler_options` for a program that runs many times, such as steps of training and predictions.

    XLA:CPU gives convolutions to YNNPACK, which takes up to twice as long as the Eigen kernels that do them otherwise
    (docs/performance.md has the figures); it keeps what it is good at, products and sums. The values are the same up
    to rounding. Other backends, and versions of XLA without the choice, compile as always.
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"}
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except Exception:  # whatever this version of XLA says of an option that it does not know
        return {}
    return options
