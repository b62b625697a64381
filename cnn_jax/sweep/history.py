"""The ImageNet history at small scale: nine networks, several seeds each, one recipe, one budget.

Every network sees the same images the same number of times, in batches of the same size, under the same optimiser,
learning rate, weight decay, schedule and augmentation; what differs is the network. Batch size, learning rate and the
reduced forms of the laptop preset were settled after a few trials on the validation split of `shapes`, seed 1000.
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
        shallow: further ones that leave out layers, for the smoke preset, whose time goes into compiling.
    """

    family: str
    label: str
    reduced: str = ""
    shallow: str = ""

    def small(self, *, reduced: bool, shallow: bool = False) -> str:
        """The name of its small form, for 32x32 images, as it is or brought to a smaller budget."""
        keywords = [self.reduced] * reduced + [self.shallow] * shallow
        return ",".join([f"{self.family}:small", *filter(None, keywords)])


NETWORKS = (
    Network("linear", "Linear"),
    Network("mlp", "MLP"),
    Network("lenet", "LeNet-5"),
    Network("alexnet", "AlexNet", "width=0.5"),
    Network("zfnet", "ZFNet", "width=0.375"),
    Network("vgg", "VGG", "width=0.75"),
    Network("googlenet", "GoogLeNet", "strides=2,width=0.75", "modules=(3a)"),
    Network("resnet", "ResNet", "depth=14,stem_strides=2,width=0.75", "stage_sizes=(1,1,1)"),
    Network("xception", "Xception", "strides=2,width=0.5", "entry_features=(96),middle_blocks=0"),
)


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
    "augment": ("flip", "pad_crop:4"),
    "optimizer.name": "momentum",
    "optimizer.weight_decay": 5e-4,
    "schedule.name": "cosine",
}
_SMOKE = {"data": "shapes:tiny", "batch_size": 64, "optimizer.learning_rate": 0.03, "total_steps": 12, "log_every": 6}
_LAPTOP = {
    "batch_size": 32,
    "optimizer.learning_rate": 0.03,
    "schedule.warmup_steps": 100,
    "total_epochs": 2.5,
    "eval_every": 281,  # half an epoch of shapes: a curve needs points
    "augment": (),  # in so few epochs no image is seen often enough to be remembered
}
_GPU = {"batch_size": 256, "optimizer.learning_rate": 0.1, "total_epochs": 40, "schedule.warmup_steps": 400}
PRESETS = {
    "smoke": Preset(1, True, {**_COMMON, **_SMOKE}),
    "laptop": Preset(3, True, {**_COMMON, **_LAPTOP}),
    "gpu": Preset(5, False, {**_COMMON, **_GPU}),
}


def cells(preset: str, overrides: Iterable[str] = ()) -> list[Cell]:
    """The cells of the history, network by network, seed by seed.

    Args:
        preset: `smoke`, `laptop` or `gpu`.
        overrides: `KEY=VALUE` for every cell's config, such as `data=folder:PATH`.

    Raises:
        ConfigError: an unknown preset or an override that is not legal.
    """
    if preset not in PRESETS:
        raise ConfigError(14, f"unknown preset {preset!r}: use {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    for text in overrides:
        if text.startswith("model.") or text.partition("=")[0] == "seed":
            raise ConfigError(15, f"--config.{text}: the history sets its own models and seeds")
    made = []
    for network in NETWORKS:
        name = network.small(reduced=chosen.reduced, shallow=preset == "smoke")
        for seed in range(chosen.seeds):
            config = resolve(override({**chosen.settings, "model.name": name, "seed": seed}, overrides))
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
