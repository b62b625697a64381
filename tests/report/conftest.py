from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_history import synthetic


@pytest.fixture
def document() -> dict[str, Any]:
    return synthetic()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes a document as a sweep's `results.json`; returns the sweep's workdir."""

    def into(document: dict[str, Any]) -> Path:
        (tmp_path / "results.json").write_text(json.dumps(document))
        return tmp_path

    return into
