"""Do projections make better shortcuts?

Id: C26
Claim: option C (projections everywhere) has slightly less error than B (projections where the shape changes), and B
    than A (zero padding).
Source: He et al. 2015, section 4.1, table 3.
Published: ResNet-34 on ImageNet, top-1 error: A 25.03, B 24.52, C 24.19%; "small differences", projections "not
    essential".
Rule: on the test error; reproduced if the 95% intervals (97.5% each) of the paired differences C less B and B less A,
    5 seeds, lie below zero; not reproduced if one lies above it; else not separated.
Cost: 15 runs of ResNet-20 at half the features on 10,000 images of CIFAR-10 at 16x16 pixels, 5 epochs.
Gpu: 15 runs at full width on all of CIFAR-10, 64,000 steps of 128 images, as the paper's on CIFAR-10.

    cnn-jax claims --run shortcuts --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Here C, whose every block has a projection of random weights, trains more slowly, and its training error is higher
too: in 500 steps the identity is the better start. The paper's length would tell whether projections catch up.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "A": {"model.shortcut": "A"},
    "B": {"model.shortcut": "B"},
    "C": {"model.shortcut": "C"},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.image_size, config.fit = 16, "resize"
    config.model = ConfigDict({"name": "resnet_cifar:20,width=0.5"})
    config.batch_size = 100
    config.total_steps = 500
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.1, "weight_decay": 0.0001})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 500
    config.num_devices = 1
    if arg == "gpu":  # section 4.2
        config.train_images = config.image_size = None
        config.fit = "none"
        config.model.name = "resnet_cifar:20"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.schedule = ConfigDict({"name": "multi_step", "boundaries": (0.5, 0.75), "factor": 0.1})
        config.total_steps = config.eval_every = 64_000
        config.checkpoint_every = 8_000
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, [("C", "B"), ("B", "A")])
