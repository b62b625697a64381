"""Python processes of this very source tree, timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cnn_jax.errors import BenchError

_ROOT = Path(__file__).parents[2]


def run_python(arguments: Sequence[str], **environment: str) -> tuple[float, str]:
    """Runs this interpreter.

    Args:
        arguments: what follows `python`.
        **environment: variables to set; a cache of compilations that the user chose is not handed on.

    Returns:
        Seconds from start to end, and what was printed.

    Raises:
        BenchError: it failed.
    """
    inherited = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**inherited, "PYTHONPATH": str(_ROOT), **environment},
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        last = (done.stderr.strip() or "no words").splitlines()[-1]
        raise BenchError(266, f"python {' '.join(arguments)[:60]!r} ended with {done.returncode}: {last}")
    return seconds, done.stdout
