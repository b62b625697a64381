"""A sweep's outcome as one JSON document: what reports and the README's tables are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax import analysis, models
from cnn_jax.config import to_dict
from cnn_jax.errors import CheckpointError
from cnn_jax.sweep.cells import Cell, last_notes
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.workdir import DATASET, DONE, ENVIRONMENT, read_json, write_json

RESULTS = "results.json"
_BUDGET = (
    "total_steps",
    "total_epochs",
    "total_examples",
    "batch_size",
    "augment",
    "optimizer",
    "schedule",
    "precision",
)


def collect(
    experiment: str,
    workdir: Path,
    cells: Sequence[Cell],
    rows: Sequence[tuple[str, str]],
    *,
    preset: str,
    seconds: float,
) -> dict[str, Any]:
    """Gathers what the cells left in their workdirs.

    Args:
        experiment: the sweep's name.
        workdir: the sweep's workdir.
        cells: its cells; those that are not done are listed with what became of them.
        rows: family and label of every network, in the order of the tables.
        preset: how large the sweep is, in a word.
        seconds: how long this launch took.

    Raises:
        CheckpointError: no cell is done.
    """
    notes = last_notes(workdir)
    done = [cell for cell in cells if (workdir / cell.id / DONE).is_file()]
    if not done:
        errors = {note["error"] for note in notes.values() if note["error"]}
        raise CheckpointError(9, f"no cell in {workdir} is done: {'; '.join(sorted(errors)) or 'run it first'}")
    spec = read_json(workdir / done[0].id / DATASET)
    config = to_dict(done[0].config)
    seeds = len({cell.config.seed for cell in cells})
    return {
        "experiment": experiment,
        "preset": preset,
        "data": spec["name"],
        "classes": spec["classes"],
        "sizes": spec["sizes"],
        "image_shape": spec["image_shape"],
        "fingerprint": spec["fingerprint"],
        "chance_error": 1 - 1 / len(spec["classes"]),
        "budget": {key: config[key] for key in _BUDGET} | {"seeds": seeds},
        "environment": read_json(workdir / done[0].id / ENVIRONMENT),
        "seconds": round(seconds, 1),
        "networks": [_describe(family, label, cells, spec) for family, label in rows],
        "cells": [_outcome(workdir, cell, notes.get(cell.id)) for cell in cells],
    }


def publish(results: Mapping[str, Any], file: Path, *, data: str) -> None:
    """Writes results to be committed: with the data called by its name, and nothing of the machine's folders.

    Args:
        results: what `collect` gave.
        file: where to write.
        data: what the data is called.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in results["environment"].items() if key != "argv"}
    write_json(file, {**results, "data": data, "environment": environment})


def _describe(family: str, label: str, cells: Sequence[Cell], spec: Mapping[str, Any]) -> dict[str, Any]:
    cell = next(cell for cell in cells if _family(cell) == family)
    keywords = {"num_classes": len(spec["classes"]), **cell.config.model}
    name = keywords.pop("name")
    totals = analysis.totals(models.create(name, **keywords), tuple(spec["image_shape"]))
    return {
        "family": family,
        "label": label,
        "model": name,
        "learning_rate": cell.config.optimizer.learning_rate,
        "year": models.FAMILIES[family].year,
        "paper": models.FAMILIES[family].paper,
        "params": totals["params"],
        "macs": totals["macs"],
    }


def _family(cell: Cell) -> str:
    return cell.config.model.name.partition(":")[0]


def _outcome(workdir: Path, cell: Cell, note: Mapping[str, Any] | None) -> dict[str, Any]:
    own = workdir / cell.id
    outcome = {
        "family": _family(cell),
        "seed": cell.config.seed,
        "id": cell.id,
        "workdir": cell.id,
        "status": "done" if (own / DONE).is_file() else (note or {"status": "missing"})["status"],
        "error": note["error"] if note else None,
    }
    if outcome["status"] != "done":
        return outcome
    final = read_json(own / DONE)
    kept = ("seconds", "best_step", "train", "validation", "test")
    return {**outcome, **{key: final.get(key) for key in kept}, "steps": final["step"], "curve": _curve(own)}


def _curve(workdir: Path) -> list[dict[str, Any]]:
    """One point for each validation: its metrics, and the training metrics of the log line before it."""
    points, train = [], {}
    for line in read_metrics(workdir):
        if line["split"] == "train":
            train = {"train_loss": line["loss"], "train_accuracy": line["accuracy"]}
        elif line["split"] == "validation":
            own = {"validation_loss": line["loss"], "validation_accuracy": line["accuracy"]}
            points.append({"step": line["step"], "epoch": line["epoch"], **train, **own})
    return points
