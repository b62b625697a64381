"""What do depth, window, stride and padding of LeNet-5 do to its error, at which cost?

    cnn-jax sweep --experiment=experiments/geometry.py --workdir=runs/geometry --dry_run
    cnn-jax sweep --experiment=experiments/geometry.py --workdir=runs/geometry --skip_illegal --processes=2

200 networks from one to five convolutions; those whose windows no longer fit a map have no output and are listed. Each
is trained for half an epoch of `shapes`.
"""

from ml_collections import ConfigDict

from cnn_jax.sweep.space import axis, product

FEATURES = (8, 16, 24, 32, 40)


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "shapes:tiny" if arg == "smoke" else "shapes"
    config.model = ConfigDict({"name": "lenet:small", "pooling": "max", "activation": "relu", "initializer": "he"})
    config.batch_size = 32
    config.total_epochs = 0.5
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03})
    return config


def sweep(add) -> None:
    depths = axis("model.features", [FEATURES[:depth] for depth in (1, 2, 3, 4, 5)])
    windows = axis("model.kernel_size", (2, 3, 5, 7))
    strides = axis("model.strides", (1, 2))
    paddings = axis("model.padding", (0, 1, 2, 3, 4))
    for settings in product(depths, windows, strides, paddings):
        add(**settings)
