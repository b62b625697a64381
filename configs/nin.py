"""Network in Network (Lin et al. 2013), the authors' CIFAR-10 network on the embedded `shapes`.

    cnn-jax train --config=configs/nin.py --workdir=runs/nin

`configs/nin.py:smoke` runs 20 steps of a narrow one on the tiny set. Deviations from the paper: half the maps, batch
norm, He's initialiser, and a cosine over few epochs in place of steps on a plateau. Without batch norm the loss was
still at 2.303, that of guessing, after 200 steps of 32: so short a budget does not leave that plateau.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "shapes:tiny" if arg == "smoke" else "shapes"
    config.model = ConfigDict({"name": "nin:cifar10", "width": 0.5, "norm": "batch", "initializer": "he"})
    config.batch_size = 128
    if arg == "smoke":
        config.model.width = 0.25
        config.total_steps = 20
    else:
        config.total_epochs = 8
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03, "weight_decay": 5e-4})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.augment = ("flip", "pad_crop:4")
    return config
