"""G1: seconds to 94% on CIFAR-10, over seeds, by the recipe of `configs/cifar_speed.py`."""

from __future__ import annotations

import statistics
from pathlib import Path

from cnn_jax.bench.context import Context
from cnn_jax.config import load_config
from cnn_jax.errors import BenchError

_CONFIG = Path("configs/cifar_speed.py")
_RUNS = 50


def speed_recipe(context: Context) -> None:
    """One run that compiles and is not counted, then the seeds; training time and test accuracy of each.

    Where the data lies is an override: `--config.data=folder:PATH`.

    Raises:
        BenchError: the recipe is not there.
    """
    from cnn_jax.train.loop import load_config_data, train

    file = next((place for place in (_CONFIG, Path(__file__).parents[2] / _CONFIG) if place.is_file()), None)
    if file is None:
        raise BenchError(270, f"there is no {_CONFIG}, so nothing was measured: use a checkout that has the recipe")
    overrides, runs = list(context.overrides), 1 if context.smoke else _RUNS
    dataset = load_config_data(load_config(file, overrides))
    row = context.result.row("cifar_speed", "", facts={"config": str(_CONFIG), "runs": runs})
    context.result.absent["the recipe's PyTorch reference"] = "not part of this repository; run it on the same card"
    for seed in range(runs + 1):
        config = load_config(file, [*overrides, f"seed={seed}"])
        final = train(config, context.scratch / f"run-{seed}", dataset=dataset, progress=False)
        if seed == 0:
            continue  # it compiled
        row.ours.append(final["seconds"])
        row.figures.setdefault("seconds", []).append(final["seconds"])
        row.figures.setdefault("accuracy", []).append(final["test"]["accuracy"])
        row.facts["mean_accuracy"] = statistics.fmean(row.figures["accuracy"])
        context.result.save()
        context.say(f"run {seed} of {runs}: {row.figures['seconds'][-1]:.2f} s, {row.figures['accuracy'][-1]:.4f}")
