"""In what order do the networks of the ImageNet history stand, all trained alike?

Id: H01
Claim: each network of the history has less error than those before it.
Source: ImageNet challenges of 2012 to 2015, and Chollet 2017, table 1.
Published: top-5 error: AlexNet 15.3 (2012), ZFNet 11.7 (2013), VGG 7.3 and GoogLeNet 6.7 (2014), ResNet 3.6% (2015),
    each with a recipe of its own, several networks and crops; Xception 79.0% top-1 beside Inception V3's 78.2%.
Rule: on the test error; reproduced if the seven 95% intervals (99.3% each) of the paired differences AlexNet less
    LeNet-5, ZFNet less AlexNet, VGG and GoogLeNet less ZFNet, ResNet less either and Xception less ResNet, 5 seeds, lie
    below zero; not reproduced if one lies above it; else not separated. Linear and MLP are run beside them.
Cost: 45 runs of the reduced forms of `cnn-jax history` on 10,000 images of CIFAR-10, 3 epochs in batches of 32.
Gpu: 45 runs of the full small forms on all of CIFAR-10, 40 epochs, by the command's gpu preset.

    cnn-jax claims --run history --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

All see the same images as often, under the same update rule, rate, decay and schedule, those of the command's laptop
preset: what differs is the network. Its own era's recipe would serve each better.

Here AlexNet is well ahead of LeNet-5, and ResNet of VGG and GoogLeNet, but in 938 steps the deep networks have not
caught up with the shallow ones: VGG is 4.6 points behind ZFNet. Their training errors stand in the same order, so
that it is a matter of steps and not of overfitting. Training until none improves would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.history import NETWORKS
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds

PAIRS = [
    ("AlexNet", "LeNet-5"),
    ("ZFNet", "AlexNet"),
    ("VGG", "ZFNet"),
    ("GoogLeNet", "ZFNet"),
    ("ResNet", "VGG"),
    ("ResNet", "GoogLeNet"),
    ("Xception", "ResNet"),
]


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "linear:small"})
    config.batch_size = 32
    config.total_epochs = 3
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 936
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.batch_size, config.augment = 256, ("flip", "pad_crop:4")
        config.total_epochs = 40
        config.optimizer.learning_rate = 0.1
        config.schedule.warmup_steps = 400
        config.eval_every = config.checkpoint_every = 7_032
    return config


def sweep(add, arg: str = "") -> None:
    names = {network.label: {"model.name": network.small(reduced=arg != "gpu")} for network in NETWORKS}
    for settings in product(named(names), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, PAIRS, beside=("Linear", "MLP"))
