"""Are two 3x3 convolutions better than one 5x5?

Id: C16
Claim: a deep network of 3x3 pairs has less error than a shallow one with a 5x5 convolution in place of each pair.
Source: Simonyan and Zisserman 2014, section 4.1, on network B.
Published: the shallow network's top-1 error is 7 points higher (centre crop).
Rule: on the test error; reproduced if the 95% interval of the paired difference, 5 seeds, lies below zero; not
    reproduced if it lies above; else not separated.
Cost: 10 runs at an eighth of VGG's features on 10,000 images of CIFAR-10, 5 epochs.
Gpu: 10 runs at a quarter of the features on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run two_small_or_one_large --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

After five epochs the deeper network has the higher training error as well (51.8 against 44.5%): it has not got as
far. What is claimed is of networks trained to the end, which takes all of CIFAR-10 and tens of epochs.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "3x3 pairs": {"model.stage_sizes": (2, 2, 2, 2, 2), "model.kernel_size": 3},
    "5x5": {"model.stage_sizes": (1, 1, 1, 1, 1), "model.kernel_size": 5},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "vgg:small,width=0.5"})
    config.batch_size = 100
    config.total_steps = 500
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.02, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 500
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "vgg:small"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.optimizer.learning_rate = 0.01
        config.total_steps = config.eval_every = config.checkpoint_every = 35_200
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, [("3x3 pairs", "5x5")])
