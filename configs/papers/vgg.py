r"""VGG as Simonyan and Zisserman trained it ("Very Deep Convolutional Networks", 2014, section 3.1).

    cnn-jax train --config=configs/papers/vgg.py:A --workdir=runs/papers/vgg_A
    cnn-jax train --config=configs/papers/vgg.py:D --workdir=runs/papers/vgg_D --config.init_from=runs/papers/vgg_A \
        --config.init_layers='conv1_1,conv2_1,conv3_1,conv3_2,fc*' --config.model.initializer=gaussian_0.1

Batches of 256, momentum 0.9, weight decay 5e-4, dropout 0.5 in the first two fully connected layers, rate 0.01 divided
by ten when the validation accuracy stopped improving, three times, 370,000 iterations (74 epochs), flips and a random
shift of colours, for which AlexNet's stands. Net A starts from N(0, variance 0.01), zero biases; deeper ones copy its
first four convolutions and its fully connected layers, as the second command does. 29.6% top-1 and 10.4% top-5 error
for A, 27.0% and 8.8% for D (table 3, S = 256).

Left out: random crops out of S = 256 (images are resized to 224), scale jitter. Ours: as they are, nets other than A
start from Glorot's initialiser, which the authors found sufficient after submission; "stopped improving" means five
evaluations, one an epoch; biases do not decay.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    variant = arg or "D"
    config = ConfigDict()
    config.data = "tfds:imagenet2012"
    config.image_size, config.fit = 224, "resize"
    initializer = "gaussian_0.1" if variant in ("A", "A-LRN") else "glorot"
    config.model = ConfigDict({"name": f"vgg:{variant}", "dropout": 0.5, "initializer": initializer})
    config.batch_size = 256
    config.total_steps = 370_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4})
    config.schedule = ConfigDict({"name": "plateau", "factor": 0.1, "max_cuts": 3, "patience": 5})
    config.augment = ("flip", "pca_colour:0.1")
    return config
