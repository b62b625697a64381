"""In what order do the classic networks stand on MNIST?

Id: C51
Claim: a linear classifier has the most errors, then one hidden layer, then two, and a convolutional network the
    fewest.
Source: LeCun et al. 1998, figure 9.
Published: test error: linear 12.0, 28x28-300-10 4.7, 28x28-500-150-10 2.95, LeNet-5 0.95%.
Rule: on the test error; reproduced if the three 95% intervals (98.3% each) of the paired differences of neighbours, 5
    seeds, lie below zero; not reproduced if one lies above it; else not separated.
Cost: 20 runs on 54,000 images, 5 epochs. A softmax and its cross-entropy throughout, where the paper's linear
    classifier has squared errors.
Gpu: 20 runs of 20 epochs, as in the paper.

    cnn-jax claims --run mnist_ladder --config.data=folder:PATH

PATH is a folder of MNIST's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

What is not separated is the second hidden layer. Both fully connected networks err half as often as published; which
of cross-entropy, momentum and schedule does it is not measured.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

ARMS = {
    "linear": {"model.name": "linear:mnist"},
    "300": {"model.name": "mlp:300"},
    "500-150": {"model.name": "mlp:500-150"},
    "LeNet-5": {"model.name": "lenet:modern,padding=0"},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:mnist"
    config.image_size, config.fit = 32, "pad"
    config.model = ConfigDict({"name": "linear:mnist"})
    config.batch_size = 100
    config.total_steps = 2_700
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 2_700
    config.num_devices = 1
    if arg == "gpu":
        config.total_steps = config.eval_every = config.checkpoint_every = 10_800
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, [("300", "linear"), ("500-150", "300"), ("LeNet-5", "500-150")])
