"""Can a deep plain network be trained from normal random weights?

Id: C19
Claim: VGG's A can be trained from normal random weights, the deeper E cannot, and from Glorot's weights E can.
Source: Simonyan and Zisserman 2014, section 3.1.
Published: in words: weights of zero mean and variance 0.01; deep nets stall for "the instability of gradient"; A is
    "shallow enough to be trained with random initialisation"; Glorot and Bengio's makes copying from A needless.
Rule: on the training loss; reproduced if the two 95% intervals (97.5% each) of the paired differences of A less E, both
    from variance 0.01, and of E from Glorot's less E from variance 0.01, 5 seeds, lie below zero; not reproduced if one
    lies above it; else not separated. A deviation of 0.01, as others read it, is run beside it.
Cost: 25 runs at an eighth of the features on 10,000 images of CIFAR-10, 5 epochs. With an eighth of the features a
    layer's gain, deviation times the root of half its inputs, is a third of the paper's.
Gpu: 25 runs at a quarter of the features on all of CIFAR-10, 30 epochs with crops and reflections.

    cnn-jax claims --run initialisation --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Here A trains from variance 0.01 and E hardly does, as the paper says, but from Glorot's weights E does no better
within these 500 steps: Glorot's variance is made for linear units, and under ReLU the signal's variance halves at
every layer. From deviation 0.01 neither leaves the loss of guessing. The paper's widths and its 74 epochs would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

DEEP, SHALLOW = (2, 2, 4, 4, 4), (1, 1, 2, 2, 2)
ARMS = {
    "A, variance 0.01": {"model.stage_sizes": SHALLOW, "model.initializer": "gaussian_0.1"},
    "E, variance 0.01": {"model.stage_sizes": DEEP, "model.initializer": "gaussian_0.1"},
    "E, Glorot": {"model.stage_sizes": DEEP, "model.initializer": "glorot"},
    "A, deviation 0.01": {"model.stage_sizes": SHALLOW, "model.initializer": "gaussian"},
    "E, deviation 0.01": {"model.stage_sizes": DEEP, "model.initializer": "gaussian"},
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
        config.total_steps = config.eval_every = config.checkpoint_every = 10_600
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    pairs = [("A, variance 0.01", "E, variance 0.01"), ("E, Glorot", "E, variance 0.01")]
    beside = ("A, deviation 0.01", "E, deviation 0.01")
    return judge_order(results, pairs, "train_loss", what="training loss, nats", beside=beside)
