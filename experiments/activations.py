"""Which activation trains best?

Id: C53
Claim: the sigmoid, which saturates and is not zero-centred, trains worst; tanh is better, and ReLU better than tanh.
Source: Pollefeys, lecture on neural networks, as CS231n, "Neural networks 1", commonly used activation functions.
Published: in words.
Rule: on the training loss, each with the best of three rates by mean validation loss; reproduced if the two 95%
    intervals (97.5% each) of the paired differences tanh less sigmoid and ReLU less tanh, 5 seeds, lie below zero;
    not reproduced if one lies above it; else not separated. Leaky ReLU, ELU and maxout are run beside them.
Cost: 90 runs of `lenet:small` with 2x2 maximum pooling on 10,000 images of CIFAR-10, 3 epochs.
Gpu: 90 runs on all of CIFAR-10, 30 epochs.

    cnn-jax claims --run activations --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

The sigmoid is far behind, as is said, and begins to learn at the largest rate only. ReLU ends 0.04 nats behind tanh,
and ELU ahead of both: in 300 steps zero-centred activations get further. Longer training, and for each an initialiser
made for it, would tell; here all start from Glorot's.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import best_of, judge_order
from cnn_jax.sweep.space import axis, named, product, seeds

ARMS = {
    "sigmoid": {"model.activation": "sigmoid"},
    "tanh": {"model.activation": "tanh"},
    "ReLU": {"model.activation": "relu"},
    "leaky ReLU": {"model.activation": "leaky_relu"},
    "ELU": {"model.activation": "elu"},
    "maxout": {"model.activation": "maxout"},
}
RATE = "optimizer.learning_rate"


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "lenet:small,pooling=max"})
    config.batch_size = 100
    config.total_steps = 300
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 50})
    config.eval_every = config.checkpoint_every = 300
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.total_steps = config.eval_every = config.checkpoint_every = 13_500
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), axis(RATE, (0.01, 0.03, 0.1)), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    best = best_of(results, RATE)
    pairs = [("tanh", "sigmoid"), ("ReLU", "tanh")]
    return judge_order(best, pairs, "train_loss", what="training loss, nats", beside=("leaky ReLU", "ELU", "maxout"))
