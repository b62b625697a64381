"""Does padding lower the error, and is it better to pool than to stride?

Id: L04
Claim: at the same cost a convolution with padding is better than one without, which washes the border away, and steps
    of 1 followed by pooling are better than steps of 2.
Source: CS231n, "Convolutional Neural Networks", layer sizing patterns, repeated by lectures.
Published: in words: padding "actually improves performance", "smaller strides work better in practice".
Rule: on the test error; reproduced if the 95% intervals (97.5% each) of the paired differences padded less unpadded and
    padded less strided, 5 seeds, lie below zero; not reproduced if one lies above it; else not separated.
Cost: 15 runs of three 3x3 convolutions on 10,000 images of CIFAR-10, 10 epochs. What a smaller map saves is spent on
    features, so that all take 2.79 million multiply-accumulates to within 0.7%.
Gpu: 15 runs on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run padding_and_stride --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Pooling against strides comes out as published, padding the other way round: at equal cost the unpadded network has 1.45
times the features, and over three convolutions on 32 pixels these are worth more than the border. The advice may hold
for networks so deep that little is left of unpadded maps: ten convolutions on 64 pixels would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Compared, Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

NO_POOL = {"model.pool_window": 1, "model.pool_strides": 1}
ARMS = {
    "padded": {"model.padding": 1, "model.width": 1.0},
    "unpadded": {"model.padding": 0, "model.width": 1.45},
    "strided": {"model.padding": 1, "model.width": 2.08, "model.strides": 2, **NO_POOL},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict(
        {"name": "lenet:small,features=(16,32,64),kernel_size=3,head=gap,activation=relu,pooling=max,initializer=he"}
    )
    config.batch_size = 100
    config.total_steps = 1_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.05, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 1_000
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.total_steps = config.eval_every = config.checkpoint_every = 35_200
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    found = judge_order(results, [("padded", "unpadded"), ("padded", "strided")])
    cost = results.macs.max() / results.macs.min()
    same = Compared("multiply-accumulates, dearest over cheapest", "at most 1.01", round(cost, 4), cost <= 1.01)
    return Finding(found.verdict, found.says, (*found.compared, same))
