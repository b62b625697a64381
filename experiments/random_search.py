"""How far does one get on CIFAR-10 without a gradient?

Id: C50
Claim: the best of 1,000 random linear classifiers is a little better than chance; stepping from the best in random
    directions is better.
Source: CS231n, "Optimization: Stochastic Gradient Descent", strategies 1 and 2, repeated by lectures (Pollefeys).
Published: 15.5% accuracy for random search, 21.4% for local random search, chance being 10%; one run each.
Rule: reproduced if each published accuracy lies in the 95% interval for one further run, mean plus or minus t s
    sqrt(1 + 1/n), and local search is better by a paired interval that excludes zero; not separated if that interval
    holds zero; else not reproduced.
Cost: 1,000 draws a run, each judged on 4,000 images where CS231n takes all 50,000; softmax in place of the hinge loss,
    which decides only what counts as better. Ten runs, about two minutes on one core.
Gpu: 10 runs; every candidate is measured on all training images, as in the course.

    cnn-jax claims --run random_search --config.data=folder:PATH

What is found for local search lies above what is published. Steps are 1e-4 in units of the pixels, as in CS231n; there
they start from random numbers ten times as large, here from zeros. Whether that or the loss does it is not measured.

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.
"""

from __future__ import annotations

import math
from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import (
    NOT_REPRODUCED,
    NOT_SEPARATED,
    REPRODUCED,
    Compared,
    Finding,
)
from cnn_jax.sweep.space import named, product, seeds
from cnn_jax.sweep.statistics import mean_interval, paired_difference

PUBLISHED = {"random": 15.5, "local": 21.4}  # accuracy, %


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.model = ConfigDict({"name": "linear:small"})
    config.batch_size = 4_000
    config.total_steps = 100
    config.optimizer = ConfigDict({"name": "random_search", "candidates": 10})
    config.schedule = ConfigDict({"name": "constant"})
    config.eval_every = config.checkpoint_every = 100
    config.num_devices = 1
    if arg == "gpu":
        config.batch_size = 45_000
    return config


def sweep(add) -> None:
    strategies = named(
        {"random": {"optimizer.name": "random_search"}, "local": {"optimizer.name": "local_random_search"}}
    )
    for settings in product(strategies, seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    accuracy = {arm: (100 * (1 - rows.sort_values("seed").test_error)).tolist() for arm, rows in results.groupby("arm")}
    rows, says = [], []
    for arm, published in PUBLISHED.items():
        interval = mean_interval(accuracy[arm])
        assert interval.half is not None, "five seeds have an interval"
        # The published number is one run, not a mean: its own spread counts as well.
        reach = interval.half * math.sqrt(1 + len(accuracy[arm]))
        rows.append(
            Compared(f"accuracy of {arm} search, %", published, interval.mean, abs(published - interval.mean) <= reach)
        )
        says.append(f"{arm} {interval.mean:.1f} ± {interval.half:.1f}%")
    better = paired_difference(accuracy["local"], accuracy["random"])
    rows.append(Compared("local is better than random", True, better.separated and better.mean > 0, better.separated))
    verdict = REPRODUCED if all(row.holds for row in rows) and better.mean > 0 else NOT_REPRODUCED
    return Finding(verdict if better.separated else NOT_SEPARATED, ", ".join(says), tuple(rows))
