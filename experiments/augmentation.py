"""Does augmentation prevent overfitting?

Id: C06
Claim: random crops and reflections lower the test error and close the gap to the training error.
Source: Krizhevsky, Sutskever and Hinton 2012, section 4.1.
Published: without it "our network suffers from substantial overfitting"; no number.
Rule: on the test error and on test less training error; reproduced if both 95% intervals (97.5% each) of the paired
    differences, 5 seeds, lie below zero; not reproduced if one lies above it; else not separated.
Cost: 10 runs of `alexnet:small` at a quarter of the width on 5,000 images of CIFAR-10, 30 epochs.
Gpu: 10 runs at full width on all of CIFAR-10, 100 epochs.

    cnn-jax claims --run augmentation --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import all_of, judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "augmented": {"augment": ("flip", "pad_crop:4")},
    "not augmented": {"augment": ()},
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
    results = results.assign(gap_error=results.test_error - results.train_error)
    pair = [("augmented", "not augmented")]
    return all_of(
        judge_order(results, pair, of=2),
        judge_order(results, pair, "gap_error", what="test less training error, points", of=2),
    )
