"""Does local response norm help AlexNet?

Id: C02
Claim: local response norm lowers the error of AlexNet.
Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.
Published: top-1 -1.4, top-5 -1.2 points on ImageNet; 13% to 11% on CIFAR-10 with a four-layer network. (VGG found
    none: A 29.6%, A-LRN 29.7% top-1, table 3.)
Rule: on the test error; reproduced if the 95% interval of the paired difference, 5 seeds, lies below zero; not
    reproduced if it lies above; else not separated.
Cost: 10 runs of `alexnet:small` at a quarter of the width on 10,000 images of CIFAR-10, 10 epochs.
Gpu: 10 runs at full width on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run response_norm --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Means of five runs are known to about a point, which is as much as is claimed: all of CIFAR-10, a training as long as
the paper's, or some twenty seeds would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "LRN": {"model.norm": "lrn"},
    "no norm": {"model.norm": "none"},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "alexnet:small,width=0.25"})
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
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, [("LRN", "no norm")])
