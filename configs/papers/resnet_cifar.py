"""ResNets on CIFAR-10 as He, Zhang, Ren and Sun trained them ("Deep Residual Learning", 2015, section 4.2).

    cnn-jax train --config=configs/papers/resnet_cifar.py:20 --workdir=runs/papers/resnet_cifar_20

Batches of 128, momentum 0.9, weight decay 0.0001, rate 0.1 divided by ten at 32,000 and 48,000 of 64,000 iterations,
45,000 images for training and 5,000 for validation; 4 pixels padded on each side, a random 32x32 crop of it or of its
flip; He's initialiser, batch norm, no dropout. Test error (table 6): 8.75% for 20 (the default), 7.51% for 32, 7.17%
for 44, 6.97% for 56, 6.43% for 110, 7.93% for 1202. `configs/papers/resnet_cifar.py:plain_cifar:56` is a plain network.

110 layers begin at a rate of 0.01: the paper says until the training error is below 80%, about 400 iterations; here it
is 400. Ours: pixels are standardised channel by channel, where the paper subtracts each pixel's mean; biases and norms
do not decay.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    name = arg if ":" in arg else f"resnet_cifar:{arg or '20'}"
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.validation = 0.1
    config.model = ConfigDict({"name": name, "dropout": 0.0, "initializer": "he", "norm": "batch"})
    config.batch_size = 128
    config.total_steps = 64_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4})
    config.schedule = ConfigDict(
        {"name": "multi_step", "factor": 0.1, "boundaries": (32_000 / 64_000, 48_000 / 64_000)}
    )
    if name.endswith(":110"):
        config.schedule.update(warmup="constant", warmup_from=0.1, warmup_steps=400)
    config.augment = ("pad_crop:4", "flip")
    return config
