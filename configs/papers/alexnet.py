"""AlexNet as Krizhevsky, Sutskever and Hinton trained it ("ImageNet Classification with Deep CNNs", 2012).

    cnn-jax train --config=configs/papers/alexnet.py --workdir=runs/papers/alexnet

Batches of 128, momentum 0.9, weight decay 0.0005, rate 0.01 divided by ten when the validation error stopped improving,
three times before the end, about 90 cycles through the images; weights from N(0, 0.01), biases 1 in conv2, conv4, conv5
and the hidden layers (section 5); dropout 0.5 in the hidden layers (section 4.2); flips, and colours moved along their
principal components by a Gaussian of 0.1 (section 4.1). 40.7% top-1 and 18.2% top-5 error on the validation images of
ILSVRC-2012 (table 2, one network).

Left out: random crops out of 256x256 (section 4.1); images are resized to the network's input. Ours: "stopped
improving" means five evaluations, one an epoch; biases do not decay; the rate stands outside the velocity.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    del arg
    config = ConfigDict()
    config.data = "tfds:imagenet2012"
    config.image_size, config.fit = 227, "resize"
    config.model = ConfigDict({"name": "alexnet:paper", "dropout": 0.5, "initializer": "gaussian"})
    config.batch_size = 128
    config.total_epochs = 90
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4})
    config.schedule = ConfigDict({"name": "plateau", "factor": 0.1, "max_cuts": 3, "patience": 5})
    config.augment = ("flip", "pca_colour:0.1")
    return config
