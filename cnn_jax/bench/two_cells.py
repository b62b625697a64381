"""The sweep of C5 at the size of a test: two cells of LeNet."""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    """Two steps on the tiny set."""
    del arg
    config = ConfigDict()
    config.data = "shapes:tiny"
    config.model = ConfigDict({"name": "lenet:small"})
    config.batch_size = 16
    config.total_steps = 2
    return config


def sweep(add) -> None:
    """Two strides."""
    for strides in (1, 2):
        add(**{"model.strides": strides})
