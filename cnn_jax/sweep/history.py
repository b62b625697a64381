"""The ImageNet history at small scale: nine networks, several seeds each, one budget.

Every network sees the same images the same number of times, in batches of the same size, under the same optimiser,
weight decay, schedule and augmentation. What differs is the network, and the learning rate: each was given the same
three to choose from, on the validation split (`experiments/results/history-learning-rates.json`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax import analysis, models
from cnn_jax.config import override, resolve, to_dict
from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.sweep.cells import Cell, last_notes, run_cells
from cnn_jax.sweep.live import LiveTable
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.workdir import DATASET, DONE, ENVIRONMENT, read_json, write_json

RESULTS = "results.json"


class Network(NamedTuple):
    """One network of the history.

    Attributes:
        family: its family in the catalogue.
        label: its name in tables.
        reduced: keywords that bring the small form to the budget of a CPU.
        learning_rate: the one of three that had the lowest validation error.
    """

    family: str
    label: str
    reduced: str
    learning_rate: float


NETWORKS = (
    Network("linear", "Linear classifier", "", 0.01),
    Network("mlp", "MLP", "", 0.03),
    Network("lenet", "LeNet-5", "", 0.03),
    Network("alexnet", "AlexNet", "width=0.5", 0.03),
    Network("zfnet", "ZFNet", "width=0.5", 0.03),
    Network("vgg", "VGG", "width=0.75", 0.03),
    Network("googlenet", "GoogLeNet", "width=0.25", 0.03),
    Network("resnet", "ResNet", "depth=8,width=0.5", 0.1),
    Network("xception", "Xception", "width=0.25", 0.1),
)
LEARNING_RATES = (0.01, 0.03, 0.1)
"""What each network chose from."""


class Preset(NamedTuple):
    """How much of everything.

    Attributes:
        seeds: runs of each network.
        reduced: whether the networks take their reduced form.
        settings: keys of every cell's config.
    """

    seeds: int
    reduced: bool
    settings: Mapping[str, Any]


_COMMON = {
    "data": "shapes",
    "batch_size": 128,
    "augment": ("flip", "pad_crop:4"),
    "optimizer.name": "momentum",
    "optimizer.weight_decay": 5e-4,
    "schedule.name": "cosine",
}
PRESETS = {
    "smoke": Preset(1, True, {**_COMMON, "data": "shapes:tiny", "batch_size": 64, "total_steps": 12, "log_every": 6}),
    "laptop": Preset(3, True, {**_COMMON, "total_epochs": 3, "schedule.warmup_steps": 100}),
    "gpu": Preset(5, False, {**_COMMON, "batch_size": 256, "total_epochs": 40, "schedule.warmup_steps": 200}),
}


def cells(preset: str, overrides: Iterable[str] = ()) -> list[Cell]:
    """The cells of the history, network by network, seed by seed.

    Args:
        preset: `smoke`, `laptop` or `gpu`.
        overrides: `KEY=VALUE` for every cell's config, such as `data=folder:PATH`; `seeds=N` for another number of
            seeds.

    Raises:
        ConfigError: an unknown preset or an override that is not legal.
    """
    if preset not in PRESETS:
        raise ConfigError(14, f"unknown preset {preset!r}: use {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    for text in overrides:
        if text.startswith("model.") or text.partition("=")[0] in ("seed", "optimizer.learning_rate"):
            raise ConfigError(15, f"--config.{text}: the history sets its own models, seeds and learning rates")
    made = []
    for network in NETWORKS:
        name = f"{network.family}:small" + (f",{network.reduced}" if chosen.reduced and network.reduced else "")
        for seed in range(chosen.seeds):
            own = {"model.name": name, "seed": seed, "optimizer.learning_rate": network.learning_rate}
            config = resolve(override({**chosen.settings, **own}, overrides))
            made.append(Cell(config, f"{network.label} seed {seed}"))
    return made


def run_history(
    workdir: str | Path, *, preset: str = "laptop", overrides: Sequence[str] = (), progress: bool = True
) -> dict[str, Any]:
    """Trains what is missing of the history and writes `results.json`.

    Args:
        workdir: where everything is written; a second call goes on where the first stopped.
        preset: `smoke`, `laptop` or `gpu`.
        overrides: `KEY=VALUE` for every cell.
        progress: whether to show the live table on standard error.

    Returns:
        What `results.json` holds.

    Raises:
        ConfigError: a preset, override, model or geometry that is not legal; the data's and training's own errors of
            a single cell are written down and the others go on.
        Preempted: stopped by Ctrl-C or SIGTERM.
    """
    workdir = Path(workdir)
    every = cells(preset, overrides)
    started = time.time()
    with LiveTable([network.label for network in NETWORKS], shown=progress) as table:
        for cell, outcome in run_cells(every, workdir, table.listen):
            done = workdir / cell.id / DONE
            table.ended(cell, outcome, read_json(done) if done.is_file() else None)
    results = collect(workdir, every, preset, time.time() - started)
    write_json(workdir / RESULTS, results)
    return results


def collect(workdir: Path, every: Sequence[Cell], preset: str, seconds: float) -> dict[str, Any]:
    """Gathers the cells' results into the one document that reports and tables are made of.

    Raises:
        CheckpointError: no cell is done.
    """
    notes = last_notes(workdir)
    done = [cell for cell in every if (workdir / cell.id / DONE).is_file()]
    if not done:
        errors = {note["error"] for note in notes.values() if note["error"]}
        raise CheckpointError(9, f"no cell in {workdir} is done: {'; '.join(sorted(errors)) or 'run it first'}")
    spec = read_json(workdir / done[0].id / DATASET)
    config = to_dict(done[0].config)
    seeds = len({cell.config.seed for cell in every})
    return {
        "experiment": "history",
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
        "networks": [_describe(network, every, spec) for network in NETWORKS],
        "cells": [_outcome(workdir, cell, notes.get(cell.id)) for cell in every],
    }


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


def _describe(network: Network, every: Sequence[Cell], spec: Mapping[str, Any]) -> dict[str, Any]:
    cell = next(cell for cell in every if cell.config.model.name.partition(":")[0] == network.family)
    family = models.FAMILIES[network.family]
    totals = analysis.totals(
        models.create(cell.config.model.name, num_classes=len(spec["classes"])), tuple(spec["image_shape"])
    )
    return {
        "family": network.family,
        "label": network.label,
        "model": cell.config.model.name,
        "learning_rate": cell.config.optimizer.learning_rate,
        "year": family.year,
        "paper": family.paper,
        "params": totals["params"],
        "macs": totals["macs"],
    }


def _outcome(workdir: Path, cell: Cell, note: Mapping[str, Any] | None) -> dict[str, Any]:
    own = workdir / cell.id
    outcome = {
        "family": cell.config.model.name.partition(":")[0],
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
