"""The sweep of C5: depth, width and stride, twelve cells of as many programs, a few steps each.

cnn-jax sweep --experiment=cnn_jax/bench/twelve_cells.py --workdir=runs/twelve
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    """A short run on the tiny set."""
    del arg
    config = ConfigDict()
    config.data = "shapes:tiny"
    config.model = ConfigDict({"name": "resnet_cifar:8"})
    config.batch_size = 32
    config.total_steps = 4
    return config


def sweep(add) -> None:
    """Depth x width x stride of the first convolution."""
    for depth in (8, 14):
        for width in (0.25, 0.5, 1.0):
            for strides in (1, 2):
                add(**{"model.depth": depth, "model.width": width, "model.stem_strides": strides})
