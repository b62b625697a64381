"""Do residual connections make depth pay?

Id: C25
Claim: with residual connections the deeper network has the lower error, and at 56 layers less than the plain network.
Source: He et al. 2015, section 4.2, table 6 and figure 6.
Published: on CIFAR-10 ResNet-20 8.75, ResNet-32 7.51, ResNet-44 7.17, ResNet-56 6.97%; plain-56 about 13% (figure 6).
Rule: on the training and the test error; reproduced if the four 95% intervals (98.75% each) of the paired differences
    ResNet-56 less ResNet-20 and ResNet-56 less plain-56, 5 seeds, lie below zero; not reproduced if one lies above
    it; else not separated.
Cost: 15 runs at half the features on 10,000 images of CIFAR-10 at 16x16 pixels, 5 epochs.
Gpu: 15 runs at full width on all of CIFAR-10, 64,000 steps of 128 images, as in the paper.

    cnn-jax claims --run residual_learning --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

What the connections are for is plain: with them 56 layers train, without them they hardly do. But in 500 steps the
deeper ResNet gets no further than the shallower one, on the training images either; the paper's length would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import all_of, judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "ResNet-20": {"model.depth": 20},
    "ResNet-56": {"model.depth": 56},
    "plain-56": {"model.depth": 56, "model.shortcut": "none"},
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
    pairs = [("ResNet-56", "ResNet-20"), ("ResNet-56", "plain-56")]
    return all_of(
        judge_order(results, pairs, "train_error", what="training error, %", of=2),
        judge_order(results, pairs, of=2),
    )
