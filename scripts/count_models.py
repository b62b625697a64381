"""Counts every network of the catalogue and writes `cnn_jax/models/counts.json`, which `cnn-jax models` prints.

    python scripts/count_models.py

The counts come from `analysis`, which traces the networks; a test holds that the file is what it would give today.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnn_jax import analysis, models
from cnn_jax.train.workdir import write_json

FILE = Path(models.__file__).with_name("counts.json")


def count(name: str) -> dict[str, Any]:
    """Parameters, multiply-accumulates and receptive field of a network at its paper's input size."""
    totals = analysis.show_named(name).total.to_dict()
    return {key: totals[key] for key in ("params", "macs", "receptive_field")}


if __name__ == "__main__":
    write_json(FILE, {entry.name: count(entry.name) for entry in models.catalogue()})
