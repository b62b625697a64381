"""In what order do the networks of the ImageNet history stand, each trained as its paper trained it?

Id: H02
Claim: each network of the history, by its own recipe, has less error than those before it by theirs.
Source: ImageNet challenges of 2012 to 2015, and Chollet 2017, table 1; the recipes: LeCun et al. 1998, section III-C;
    Krizhevsky et al. 2012, section 5; Zeiler and Fergus 2013, section 3; Simonyan and Zisserman 2014, section 3.1;
    Szegedy et al. 2014, section 6; He et al. 2015, section 3.4; Chollet 2017, section 4.3.
Published: top-5 error: AlexNet 15.3 (2012), ZFNet 11.7 (2013), VGG 7.3 and GoogLeNet 6.7 (2014), ResNet 3.6% (2015);
    Xception 79.0% top-1 beside Inception V3's 78.2%.
Rule: that of H01, on the test error: reproduced if the seven 95% intervals (99.3% each) of the paired differences, 5
    seeds, lie below zero; not reproduced if one lies above it; else not separated.
Cost: 35 runs of the reduced forms of `cnn-jax history` on 10,000 images of CIFAR-10, 3 epochs in batches of 32.
Gpu: 35 runs of the full small forms on all of CIFAR-10, 40 epochs in batches of 128.

    cnn-jax claims --run history_eras --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

Each recipe's update rule, rate, decay and momentum stand here, the shape of its schedule, its dropout, its averaging of
weights, and its augmentation as far as it is one of 32x32 images. Where a paper waited for the error to stop falling,
the rate is divided by ten after a half and three quarters. Weights start as in H01: normal ones of deviation 0.01 are
made for the papers' widths, and these networks are narrower.

Here ResNet's recipe is far ahead: its rate is ten times that of AlexNet to GoogLeNet, and it needs no dropout. Theirs
cut rates and drop units for the sake of trainings far longer than these 938 steps, and beside them LeNet-5 by plain
gradient descent comes second. Alike, the networks stand as H01 says. Training until none improves would tell.
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
CUTS = {"schedule.name": "multi_step", "schedule.boundaries": (0.5, 0.75), "schedule.factor": 0.1}
RECIPES: dict[str, dict[str, Any]] = {
    "LeNet-5": {
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 0.05,
        "schedule.name": "multi_step",
        "schedule.boundaries": (2 / 20, 5 / 20, 8 / 20, 12 / 20),
        "schedule.factor": (0.4, 0.5, 0.5, 0.2),
    },
    "AlexNet": {
        "optimizer.weight_decay": 5e-4,
        "model.dropout": 0.5,
        "augment": ("flip", "pad_crop:4", "pca_colour:0.1"),
        **CUTS,
    },
    "ZFNet": {"model.dropout": 0.5, "augment": ("flip", "pad_crop:4"), **CUTS},
    "VGG": {
        "optimizer.weight_decay": 5e-4,
        "model.dropout": 0.5,
        "augment": ("flip", "pad_crop:4", "pca_colour:0.1"),
        **CUTS,
    },
    "GoogLeNet": {
        "optimizer.weight_decay": 2e-4,
        "model.dropout": 0.4,
        "schedule.name": "step",
        "schedule.factor": 0.96,
        "schedule.every_epochs": 0.1,
        "average.name": "polyak",
        "augment": ("flip", "pad_crop:4"),
    },
    "ResNet": {
        "optimizer.learning_rate": 0.1,
        "optimizer.weight_decay": 1e-4,
        "augment": ("flip", "pad_crop:4", "pca_colour:0.1"),
        **CUTS,
    },
    "Xception": {
        "model.dropout": 0.5,
        "optimizer.learning_rate": 0.045,
        "optimizer.weight_decay": 1e-5,
        "schedule.name": "step",
        "schedule.factor": 0.94,
        "schedule.every_epochs": 0.06,
        "average.name": "polyak",
        "augment": ("flip", "pad_crop:4"),
    },
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "lenet:small"})
    config.batch_size = 32
    config.total_epochs = 3
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.01})
    config.eval_every = config.checkpoint_every = 936
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.batch_size = 128
        config.total_epochs = 40
        config.eval_every = config.checkpoint_every = 14_063
    return config


def sweep(add, arg: str = "") -> None:
    recipes = {
        network.label: RECIPES[network.label] | {"model.name": network.small(reduced=arg != "gpu")}
        for network in NETWORKS
        if network.label in RECIPES
    }
    for settings in product(named(recipes), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    return judge_order(results, PAIRS)
