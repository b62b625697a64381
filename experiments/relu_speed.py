"""How much faster does ReLU train than tanh?

Id: C01
Claim: a four-layer convolutional network reaches a training error of 25% several times faster with ReLU than with
    tanh.
Source: Krizhevsky, Sutskever and Hinton 2012, section 3.1 and figure 1.
Published: six times fewer epochs on CIFAR-10, without regularisation, each with its own rate.
Rule: steps until the mean training error of 25 steps is at most 25%, each with the best of three rates by mean steps;
    a run that does not get there counts as all its steps. Reproduced if the 95% interval of the ratio tanh to ReLU,
    paired by seed, lies above 2; not reproduced if it lies below; else not separated.
Cost: 30 runs of two convolutions and two fully connected layers on 2,500 images of CIFAR-10, 40 epochs.
Gpu: 30 runs of a network of four layers on all of CIFAR-10, 20,000 steps of 128 images.

    cnn-jax claims --run relu_speed --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

At a rate of 0.01 ReLU needs 460 steps and tanh 705; tanh is at its best at the largest rate, where it needs 355. What
is claimed is of a four-layer network on all of CIFAR-10: that scale, and larger rates for both, are still to be
tried.
"""

from __future__ import annotations

import math
from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import NOT_REPRODUCED, NOT_SEPARATED, REPRODUCED, Compared, Finding
from cnn_jax.sweep.order import best_of, by_seed
from cnn_jax.sweep.space import axis, named, product, seeds
from cnn_jax.sweep.statistics import mean_interval

ARMS = {"ReLU": {"model.activation": "relu"}, "tanh": {"model.activation": "tanh"}}
RATE = "optimizer.learning_rate"
ERROR, RATIO = 0.25, 2


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 2_500
    network = "features=(8,16),head_features=(64),pooling=max,initializer=he"
    config.model = ConfigDict({"name": f"lenet:small,{network}"})
    config.batch_size = 100
    config.total_steps = 1_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.01})
    config.schedule = ConfigDict({"name": "constant"})
    config.log_every = 25
    config.eval_every = config.checkpoint_every = 1_000
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "lenet:small,features=(32,32,64),padding=2,head_features=(),pooling=max,initializer=he"
        config.batch_size = 128
        config.total_steps = config.eval_every = config.checkpoint_every = 20_000
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), axis(RATE, (0.003, 0.01, 0.03)), seeds(5)):
        add(**settings)


def measure(run: Any) -> dict[str, float]:
    lines = run.history.query("split == 'train' and accuracy >= 1 - @ERROR", local_dict={"ERROR": ERROR})
    return {"steps_needed": int(lines.step.min()) if len(lines) else int(run.config.total_steps)}


def claim(results: Any) -> Finding:
    best = best_of(results, RATE, "steps_needed")
    steps = {arm: by_seed(best, arm, "steps_needed") for arm in ARMS}
    ratio = mean_interval([math.log(slow / fast) for slow, fast in zip(steps["tanh"], steps["ReLU"], strict=True)])
    assert ratio.lo is not None, "five seeds have an interval"
    assert ratio.hi is not None
    mean, lo, hi = (math.exp(value) for value in (ratio.mean, ratio.lo, ratio.hi))
    verdict = REPRODUCED if lo > RATIO else NOT_REPRODUCED if hi < RATIO else NOT_SEPARATED
    says = ", ".join(f"{arm} {sum(values) / len(values):.0f} steps" for arm, values in steps.items())
    row = Compared("steps of tanh to those of ReLU", 6, mean, lo > RATIO)
    return Finding(verdict, f"{says}: {mean:.1f} times (95%: {lo:.1f} to {hi:.1f})", (row,))
