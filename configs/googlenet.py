"""GoogLeNet (Szegedy et al. 2014), its small form on the embedded `shapes`.

    cnn-jax train --config=configs/googlenet.py --workdir=runs/googlenet

`configs/googlenet.py:smoke` runs 20 steps on the tiny set.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "shapes:tiny" if arg == "smoke" else "shapes"
    config.model = ConfigDict({"name": "googlenet:small"})
    config.batch_size = 128
    if arg == "smoke":
        config.total_steps = 20
    else:
        config.total_epochs = 8
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03, "weight_decay": 5e-4})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.augment = ("flip", "pad_crop:4")
    return config
