"""Can fully connected layers be replaced by an average?

Id: C21
Claim: global average pooling in place of fully connected layers lowers the error.
Source: Szegedy et al. 2014, Going Deeper with Convolutions, section 5.
Published: top-1 accuracy +0.6 points.
Rule: on the test error; reproduced if the 95% interval of the paired difference, 5 seeds, lies below zero; not
    reproduced if it lies above; else not separated.
Cost: 10 runs of VGG's A at an eighth of the features, dropout of one half before the classifier in both, on 10,000
    images of CIFAR-10, 5 epochs.
Gpu: 10 runs at full width on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run average_pooling_head --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "average": {"model.head": "gap"},
    "fully connected": {"model.head": "fc"},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "vgg:small,width=0.5,dropout=0.5"})
    config.batch_size = 100
    config.total_steps = 500
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.02, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 500
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "vgg:small,dropout=0.5"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.optimizer.learning_rate = 0.01
        config.total_steps = config.eval_every = config.checkpoint_every = 35_200
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, [("average", "fully connected")])
