"""ZFNet as Zeiler and Fergus trained it ("Visualizing and Understanding Convolutional Networks", 2013, section 3).

    cnn-jax train --config=configs/papers/zfnet.py --workdir=runs/papers/zfnet

Batches of 128, momentum 0.9, rate 0.01 lowered by hand when the validation error plateaus, 70 epochs, dropout 0.5 in
layers 6 and 7, weights of 0.01, biases 0. 38.4% top-1 and 16.5% top-5 validation error (table 2).
`configs/papers/zfnet.py:slides` is model (b) with 512, 1024, 512 features: 37.5% and 16.0%.

Left out: random crops out of 256x256 (images are resized), renormalising filters whose root mean square exceeds 0.1.
Ours: the weights are drawn from N(0, 0.01), where the text has a constant, which could not learn; the paper gives no
factor (ten, as AlexNet), no patience (five evaluations, one an epoch) and no weight decay (none).
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:imagenet2012"
    config.image_size, config.fit = 224, "resize"
    config.model = ConfigDict({"name": f"zfnet:{arg or 'paper'}", "dropout": 0.5, "initializer": "gaussian"})
    config.batch_size = 128
    config.total_epochs = 70
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.01, "momentum": 0.9})
    config.schedule = ConfigDict({"name": "plateau", "factor": 0.1, "patience": 5})
    config.augment = ("flip",)
    return config
