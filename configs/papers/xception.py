"""Xception as Chollet trained it on ImageNet ("Deep Learning with Depthwise Separable Convolutions", 2017, section 4).

    cnn-jax train --config=configs/papers/xception.py --workdir=runs/papers/xception

Momentum 0.9, rate 0.045 times 0.94 every 2 epochs, Polyak averaging (section 4.3); weight decay 1e-5, dropout 0.5
before the classifier (section 4.4); batch norm after every convolution (figure 5). 21.0% top-1 and 5.5% top-5 error,
one network and crop (table 1).

Left out: augmentation beyond flips. Ours: pixels are standardised, where the author has them in -1 to 1; the paper
gives neither batch (256 here) nor epochs (100 here) nor where the average begins (at half of the training here).
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    del arg
    config = ConfigDict()
    config.data = "tfds:imagenet2012"
    config.image_size, config.fit = 299, "resize"
    config.model = ConfigDict({"name": "xception:paper", "dropout": 0.5})
    config.batch_size = 256
    config.total_epochs = 100
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.045, "momentum": 0.9, "weight_decay": 1e-5})
    config.schedule = ConfigDict({"name": "step", "factor": 0.94, "every_epochs": 2})
    config.average = ConfigDict({"name": "polyak", "start": 0.5})
    config.augment = ("flip",)
    return config
