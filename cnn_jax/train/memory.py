"""How much memory a device has for data, and running out of it, in one line that says what to lower."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from cnn_jax.errors import ConfigError

# XLA's words on CPU and GPU, and on TPU.
_SIZES = re.compile(r"(?:allocate|allocating|of size|Used|needs?)\s+([\d.]+\s*(?:[KMGT]i?B?|bytes))", re.IGNORECASE)


DATA_SHARE = 0.5
"""With `config.input=auto`, data that takes more of a device's free memory than this stays in its files."""


def decoded_limit(data_input: str) -> int | None:
    """How many bytes the decoded images of all splits may take on a device.

    Args:
        data_input: `config.input`.

    Returns:
        None for any number, 0 for none.
    """
    if data_input == "auto":
        free = free_memory(jax.local_devices()[0])
        return None if free is None else int(DATA_SHARE * free)
    return None if data_input == "device" else 0


def free_memory(device: Any) -> int | None:
    """Bytes that are free on a device of this process, or None where it does not say; on CPU those of the machine."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    meminfo = Path("/proc/meminfo")
    if device.platform == "cpu" and meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        return int(fields["MemAvailable"].split()[0]) * 1024
    return None


def needed_memory(compiled: Any) -> int:
    """Bytes that a call of an executable takes for itself and its results; 0 where it does not say."""
    found = compiled.memory_analysis()
    return 0 if found is None else found.temp_size_in_bytes + found.output_size_in_bytes


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
