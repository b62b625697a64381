"""Are depthwise separable convolutions better than inception modules?

Id: C32
Claim: at the same number of parameters Xception has less error than Inception, and no ReLU between its depthwise and
    pointwise convolutions less than one.
Source: Chollet 2017, sections 4.4 and 4.7, tables 1 and 3, figure 10.
Published: on ImageNet top-1 79.0 and top-5 94.5% of Xception with 22,855,952 parameters, 78.2 and 94.1% of Inception V3
    with 23,626,728.
Rule: on the test error; reproduced if the 95% intervals (97.5% each) of the paired differences Xception less Inception
    and Xception less the same with ReLU between, 5 seeds, lie below zero; not reproduced if one lies above it; else not
    separated.
Cost: 15 runs of `xception:small` with 224,514 parameters and of GoogLeNet's modules with batch norm and 229,131, on
    10,000 images of CIFAR-10 at 16x16 pixels, 5 epochs. Inception V3's own modules are later than these.
Gpu: 15 runs on all of CIFAR-10 at 32x32 pixels, 100 epochs with crops and reflections.

    cnn-jax claims --run separable_convolutions --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

That no ReLU between is better holds. But Inception is five points ahead, on the training images as well: with as many
parameters it computes 1.3 times as much, and in 500 steps gets further. The published lead of 0.8 points is that of
networks trained to the end; images of 64 pixels and more, until neither improves, would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Compared, Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "Xception": {"model.name": "xception:small"},
    "Xception, ReLU between": {"model.name": "xception:small,between=relu"},
    "Inception": {"model.name": "googlenet:small,norm=batch,width=1.17"},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.image_size, config.fit = 16, "resize"
    config.model = ConfigDict({"name": "xception:small", "initializer": "he"})
    config.batch_size = 100
    config.total_steps = 500
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.05, "weight_decay": 0.0001})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 500
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = config.image_size = None
        config.fit = "none"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.total_steps = config.eval_every = config.checkpoint_every = 35_200
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    found = judge_order(results, [("Xception", arm) for arm in ARMS if arm != "Xception"])
    params = results.groupby("arm").params.first()
    ratio = float(params["Inception"] / params["Xception"])
    row = Compared("parameters, Inception over Xception", "1.034", round(ratio, 3), 1 <= ratio <= 1.05)
    return Finding(found.verdict, found.says, (*found.compared, row))
