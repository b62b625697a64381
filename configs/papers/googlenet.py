"""GoogLeNet as Szegedy et al. trained it ("Going Deeper with Convolutions", 2014), what is missing taken from BVLC.

    cnn-jax train --config=configs/papers/googlenet.py --workdir=runs/papers/googlenet

Momentum 0.9, the rate lowered by 4% every 8 epochs, Polyak averaging for the final model, crops of 8% to 100% of the
area with aspect ratios of 3/4 to 4/3 (section 6); two auxiliary classifiers with weight 0.3, dropout 0.4 before the
classifier (section 5). 10.07% top-5 error, one network and crop (table 3).

The paper prints neither rate, batch, decay nor length: rate 0.01, batches of 32 and decay 2e-4 are those of BVLC's
bvlc_googlenet, 2,400,000 iterations those of its quick solver. Left out: asynchronous updates, photometric distortions.
Ours: flips; the average begins at half of the training, for the paper does not say where.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    del arg
    config = ConfigDict()
    config.data = "tfds:imagenet2012"
    config.image_size, config.fit = 224, "resize"
    config.model = ConfigDict({"name": "googlenet:paper", "aux_heads": True, "dropout": 0.4, "initializer": "glorot"})
    config.aux_weight = 0.3
    config.batch_size = 32
    config.total_steps = 2_400_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 2e-4})
    config.schedule = ConfigDict({"name": "step", "factor": 0.96, "every_epochs": 8})
    config.average = ConfigDict({"name": "polyak", "start": 0.5})
    config.augment = ("resized_crop:0.08,aspect=1.3333333333333333", "flip")
    return config
