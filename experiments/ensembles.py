"""What does averaging several networks gain?

Id: C10
Claim: the mean of the probabilities of several networks, trained alike from other seeds, has less error than one.
Source: Krizhevsky et al. 2012, section 6.1; Zeiler and Fergus 2013, table 2; Szegedy et al. 2014, table 3; He et al.
    2015, table 5.
Published: top-5 error on ImageNet: AlexNet 18.2 to 16.4% (5 networks), ZFNet 16.5 to 15.3% (5), GoogLeNet 10.07 to
    8.09% (7).
Rule: on the test error of groups of 5 networks, 5 groups; reproduced if the two 95% intervals (97.5% each) of the
    paired differences of two networks less one and of five less two lie below zero; not reproduced if one lies above
    it; else not separated.
Cost: 25 runs of `lenet:small` with ReLU on 10,000 images of CIFAR-10, 10 epochs.
Gpu: 25 runs of `alexnet:small` on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run ensembles --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data import load_dataset
from cnn_jax.evaluate import load
from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import by_seed, judge_order
from cnn_jax.sweep.space import seeds

MEMBERS, GROUPS = 5, 5


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "lenet:small,activation=relu,pooling=max,initializer=he"})
    config.batch_size = 100
    config.total_steps = 1_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.02, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 1_000
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "alexnet:small"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.optimizer.learning_rate = 0.01
        config.total_steps = config.eval_every = config.checkpoint_every = 35_200
    return config


def sweep(add) -> None:
    for settings in seeds(MEMBERS * GROUPS):
        add(**settings)


def measure(run: Any) -> dict[str, float]:
    """The ensemble of this network and those of its group with smaller seeds."""
    group, place = divmod(run.config.seed, MEMBERS)
    workdirs = {json.loads(file.read_text())["seed"]: file.parent for file in run.workdir.parent.glob("*/config.json")}
    mean = sum(_probabilities(workdirs[group * MEMBERS + i]) for i in range(place + 1)) / (place + 1)
    return {
        "group": group,
        "members": place + 1,
        "ensemble_error": float((mean.argmax(-1) != _test(run.config.data).label).mean()),
    }


def claim(results: Any) -> Finding:
    groups = results.assign(arm=results.members.astype(str), seed=results.group)
    found = judge_order(groups, [("2", "1"), ("5", "2")], "ensemble_error", what="test error by networks, %")
    between = ", ".join(f"{k} {np.mean(by_seed(groups, str(k), 'ensemble_error')):.4g}" for k in (3, 4))
    return found._replace(says=f"{found.says}; {between}")


@functools.cache
def _probabilities(workdir: Path) -> np.ndarray:
    run = load(workdir)
    return run.predict(_test(run.config.data).image)


@functools.cache
def _test(data: str) -> Any:
    return load_dataset(data, validation=0).splits["test"]
