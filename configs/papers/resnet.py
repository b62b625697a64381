"""ResNet as He, Zhang, Ren and Sun trained it on ImageNet ("Deep Residual Learning", 2015, section 3.4).

    cnn-jax train --config=configs/papers/resnet.py:34-A --workdir=runs/papers/resnet_34A

Batches of 256, momentum 0.9, weight decay 0.0001, rate 0.1 divided by ten when the error plateaus, up to 600,000
iterations, He's initialiser, batch norm after every convolution, no dropout, flips and AlexNet's shift of colours.
Top-1 error with ten crops: 27.88% for 18, 25.03% for 34-A (table 2), 22.85%, 21.75% and 21.43% for 50-v1 (the default),
101-v1 and 152-v1 (table 3). The `-v1` networks have their strides where the authors have them;
`configs/papers/resnet.py:plain:34` is the plain network that they are compared with.

Left out: random crops with the shorter side in 256 to 480; images are resized to 224. Ours: a plateau is five
evaluations, one an epoch; biases and norms do not decay.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    name = arg if arg.startswith("plain:") else f"resnet:{arg or '50-v1'}"
    config = ConfigDict()
    config.data = "tfds:imagenet2012"
    config.image_size, config.fit = 224, "resize"
    config.model = ConfigDict({"name": name, "dropout": 0.0, "initializer": "he", "norm": "batch"})
    config.batch_size = 256
    config.total_steps = 600_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4})
    config.schedule = ConfigDict({"name": "plateau", "factor": 0.1, "patience": 5})
    config.augment = ("flip", "pca_colour:0.1")
    return config
