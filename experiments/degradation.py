"""Do deeper plain networks train worse?

Id: C24
Claim: a deeper plain network has the higher training error and the higher test error.
Source: He et al. 2015, section 4.1, table 2 and figures 1 and 6.
Published: plain-18 27.94%, plain-34 28.54% top-1 on ImageNet; on CIFAR-10 plain-20 to plain-56 in that order,
    plain-110 above 60%.
Rule: on the training and the test error of 20 and 56 layers; reproduced if both 95% intervals (97.5% each) of the
    paired differences 20 less 56, 5 seeds, lie below zero; not reproduced if one lies above it; else not separated.
Cost: 10 runs at half the features on 10,000 images of CIFAR-10 at 16x16 pixels, 5 epochs.
Gpu: 10 runs at full width on all of CIFAR-10, 64,000 steps of 128 images, as in the paper.

    cnn-jax claims --run degradation --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

After 500 steps the deeper network has hardly begun, where in the paper both have converged: what is seen here is that
depth makes plain networks slower to train. Whether it still holds at their end is what the larger form asks.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import all_of, judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "plain-20": {"model.depth": 20},
    "plain-56": {"model.depth": 56},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.image_size, config.fit = 16, "resize"
    config.model = ConfigDict({"name": "plain_cifar:20,width=0.5"})
    config.batch_size = 100
    config.total_steps = 500
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.1, "weight_decay": 0.0001})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 500
    config.num_devices = 1
    if arg == "gpu":  # section 4.2
        config.train_images = config.image_size = None
        config.fit = "none"
        config.model.name = "plain_cifar:20"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.schedule = ConfigDict({"name": "multi_step", "boundaries": (0.5, 0.75), "factor": 0.1})
        config.total_steps = config.eval_every = 64_000
        config.checkpoint_every = 8_000
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    pair = [("plain-20", "plain-56")]
    return all_of(
        judge_order(results, pair, "train_error", what="training error, %", of=2),
        judge_order(results, pair, of=2),
    )
