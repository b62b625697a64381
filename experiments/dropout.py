"""Does dropout prevent overfitting, and at what price?

Id: C08
Claim: dropout of one half in the hidden layers lowers the test error, and training takes longer.
Source: Krizhevsky, Sutskever and Hinton 2012, section 4.2.
Published: "substantial overfitting" without; about twice the iterations to converge.
Rule: on the test error, and on the training error without dropout's being the lower; reproduced if both 95% intervals
    (97.5% each) of the paired differences, 5 seeds, lie below zero; not reproduced if one lies above it; else not
    separated.
Cost: 10 runs of `alexnet:small` at a quarter of the width on 5,000 images of CIFAR-10, 30 epochs. The training error
    is that of the network with units dropped, as it was trained.
Gpu: 10 runs at full width on all of CIFAR-10, 100 epochs.

    cnn-jax claims --run dropout --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Here dropout closes the gap, 14 points between training and test error where there were 47 without, and the test error
stays where it was: a network of a quarter of the width has few units to spare, and 30 epochs are too few for one that
learns half as fast. All images at full width, trained until neither improves, would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import all_of, judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "dropout": {"model.dropout": 0.5},
    "no dropout": {"model.dropout": 0.0},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 5_000
    config.model = ConfigDict({"name": "alexnet:small,width=0.25"})
    config.batch_size = 100
    config.total_steps = 1_500
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.02, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 1_500
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "alexnet:small"
        config.batch_size = 128
        config.optimizer.learning_rate = 0.01
        config.total_steps = config.eval_every = config.checkpoint_every = 35_200
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return all_of(
        judge_order(results, [("dropout", "no dropout")], of=2),
        judge_order(results, [("no dropout", "dropout")], "train_error", what="training error, %", of=2),
    )
