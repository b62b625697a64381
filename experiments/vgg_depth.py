"""Do VGG's networks improve with depth?

Id: C14
Claim: from A with 11 weight layers over B with 13 and D with 16, the error falls with depth; E with 19 gains nothing
    more.
Source: Simonyan and Zisserman 2014, table 3 and section 4.1.
Published: top-1 error at one scale (256): A 29.6, B 28.7, D 27.0, E 27.3%.
Rule: on the test error; reproduced if the 95% intervals (97.5% each) of the paired differences B less A and D less B,
    5 seeds, lie below zero and E less D is not separated; not reproduced if one of the two lies above zero; else not
    separated.
Cost: 20 runs at an eighth of the features on 10,000 images of CIFAR-10, 5 epochs, from He's initialiser where the
    paper copies layers of A.
Gpu: 20 runs at a quarter of the features on all of CIFAR-10, 100 epochs with crops and reflections.

    cnn-jax claims --run vgg_depth --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Here error rises with depth, that of training as well, so that it is optimisation and not overfitting: without norm, 500
steps at an eighth of the features are a fraction of what the deeper networks need. Full features, the paper's 74 epochs
and its way from A to E, the deeper network begun with the shallower one's layers, would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import NOT_SEPARATED, REPRODUCED, Compared, Finding
from cnn_jax.sweep.order import by_seed, judge_order
from cnn_jax.sweep.space import named, product, seeds
from cnn_jax.sweep.statistics import paired_difference

ARMS = {
    "A": {"model.stage_sizes": (1, 1, 2, 2, 2)},
    "B": {"model.stage_sizes": (2, 2, 2, 2, 2)},
    "D": {"model.stage_sizes": (2, 2, 3, 3, 3)},
    "E": {"model.stage_sizes": (2, 2, 4, 4, 4)},
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
    found = judge_order(results, [("B", "A"), ("D", "B")], beside=("E",))
    last = paired_difference(by_seed(results, "E"), by_seed(results, "D"))
    row = Compared("test error, %: E less D", "not separated from 0", last.mean, not last.separated)
    verdict = NOT_SEPARATED if found.verdict == REPRODUCED and last.separated else found.verdict
    return Finding(verdict, found.says, (*found.compared, row))
