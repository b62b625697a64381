"""Is overlapping pooling better?

Id: C03
Claim: max pooling over 3x3 in steps of 2 has less error than over 2x2 in steps of 2.
Source: Krizhevsky, Sutskever and Hinton 2012, section 3.4.
Published: top-1 -0.4, top-5 -0.3 points on ImageNet; harder to overfit.
Rule: on the test error; reproduced if the 95% interval of the paired difference, 5 seeds, lies below zero; not
    reproduced if it lies above; else not separated.
Cost: 10 runs of `alexnet:small` at a quarter of the width on 10,000 images of CIFAR-10, 10 epochs.
Gpu: 10 runs at full width on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run overlapping_pooling --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

The difference found is the published one, 0.4 points, and five runs do not tell it from none: about a dozen would, if
it is so large.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "3x3 over 2": {"model.pool_window": 3},
    "2x2 over 2": {"model.pool_window": 2},
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
    return judge_order(results, [("3x3 over 2", "2x2 over 2")])
