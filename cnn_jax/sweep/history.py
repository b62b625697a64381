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

from cnn_jax.config import override, resolve
from cnn_jax.errors import ConfigError
from cnn_jax.sweep.cells import Cell, run_cells
from cnn_jax.sweep.live import LiveTable
from cnn_jax.sweep.results import RESULTS, collect
from cnn_jax.train.workdir import DONE, read_json, write_json


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
    results = collect("history", workdir, every, rows(), preset=preset, seconds=time.time() - started)
    write_json(workdir / RESULTS, results)
    return results


def rows() -> list[tuple[str, str]]:
    """Family and label of every network, in historical order."""
    return [(network.family, network.label) for network in NETWORKS]
