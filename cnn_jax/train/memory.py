"""Running out of memory on a device, in one line that says what to lower."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import jax

from cnn_jax.errors import ConfigError

# XLA's words on CPU and GPU, and on TPU.
_SIZES = re.compile(r"(?:allocate|allocating|of size|Used|needs?)\s+([\d.]+\s*(?:[KMGT]i?B?|bytes))", re.IGNORECASE)


@contextlib.contextmanager
def out_of_memory_named(config: Any) -> Iterator[None]:
    """Turns XLA's RESOURCE_EXHAUSTED, raised inside, into a ConfigError.

    Raises:
        ConfigError: names the device, what was asked for, and the keys to change.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise out_of_memory(str(error), config) from error


def out_of_memory(message: str, config: Any) -> ConfigError:
    """The one line for XLA's message."""
    size = _SIZES.search(message)
    asked = f" allocating {size.group(1)}" if size else ""
    lower = [f"lower config.batch_size (now {config.batch_size})"]
    parts = next((n for n in range(config.accumulate + 1, config.batch_size + 1) if config.batch_size % n == 0), None)
    if parts:
        lower.append(f"or set config.accumulate={parts} for the same result in parts")
    if config.precision == "float32":
        lower.append("or config.precision=bfloat16")
    return ConfigError(107, f"out of memory on {jax.devices()[0]}{asked}: {', '.join(lower)}")
