"""Which of two checkpoints is the better one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def better(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether checkpoint `a` beats `b` on validation: accuracy, then loss. Without validation the later one does."""
    a, b = a["validation"], b["validation"]
    if a is None or b is None:
        return b is None
    return (a["accuracy"], -a["loss"]) > (b["accuracy"], -b["loss"])
