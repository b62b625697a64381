"""Is a 1x1 convolution worth a layer, and a 3x3 more?

Id: C15
Claim: further 1x1 convolutions help (C is better than B), and 3x3 in their place help more (D is better than C).
Source: Simonyan and Zisserman 2014, table 3 and section 4.1.
Published: top-1 error at one scale (256): B 28.7, C 28.1, D 27.0%.
Rule: on the test error; reproduced if the 95% intervals (97.5% each) of the paired differences, 5 seeds, lie below
    zero; not reproduced if one lies above it; else not separated.
Cost: 15 runs at an eighth of the features, with batch norm so that all three train, on 10,000 images of CIFAR-10, 5
    epochs.
Gpu: 15 runs at a quarter of the features on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run one_by_one --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Here the shallowest has the least error, and 1x1 and 3x3 are alike: after 500 steps depth still costs more than it
gives, and of 32 pixels the last stages see 4x4 and 2x2, where a window of three is nearly one of one. Networks of full
width on 64 pixels and more, trained until none improves, would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "B": {"model.stage_sizes": (2, 2, 2, 2, 2)},
    "C": {"model.stage_sizes": (2, 2, 3, 3, 3), "model.last_1x1": True},
    "D": {"model.stage_sizes": (2, 2, 3, 3, 3)},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "vgg:small,width=0.5,norm=batch"})
    config.batch_size = 100
    config.total_steps = 500
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.02, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 500
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "vgg:small,norm=batch"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.optimizer.learning_rate = 0.01
        config.total_steps = config.eval_every = config.checkpoint_every = 35_200
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, [("C", "B"), ("D", "C")])
