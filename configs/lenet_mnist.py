"""LeNet-5 (LeCun et al. 1998, in its modern form) on MNIST, padded to 32x32 as in section II.B of the paper.

    cnn-jax train --config=configs/lenet_mnist.py:PATH --workdir=runs/lenet_mnist

PATH is a folder of images, PATH/{train,test}/CLASS/*.png; without it, the data set that TFDS has prepared is read.
The paper reports 0.95% test error (0.8% with distortions), from its original form with RBF outputs.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = f"folder:{arg}" if arg else "tfds:mnist"
    config.image_size = 32
    config.fit = "pad"
    config.model = ConfigDict({"name": "lenet:modern"})
    config.batch_size = 128
    config.total_epochs = 12
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.05, "weight_decay": 1e-4})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.augment = ("pad_crop:2",)
    return config
