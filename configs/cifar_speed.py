"""CIFAR-10 to 94% in seconds: `airbench94_muon.py` of K. Jordan's airbench, the whole training as one compiled call.

    cnn-jax train --config=configs/cifar_speed.py --workdir=runs/cifar_speed
    cnn-jax train --config=configs/cifar_speed.py:PATH --workdir=runs/cifar_speed --config.precision=float32

Without an argument, or with `full`, the data set that TFDS has prepared is read; PATH is a folder of images,
PATH/{train,test}/CLASS/*. `smoke` is a narrow network on the tiny shapes, for a test. `sgd` is `airbench94.py`.

Paper: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), and its repository,
KellerJordan/cifar10-airbench. Published, on one A100: 94.01% in 2.59 s with Muon (n=200), in 3.29 s with Nesterov
momentum (n=1000), both with the six views of `evaluate/views.py`; hiverge/cifar10-speedrun went on to 2.0 s. Not yet
measured here. `cnn-jax train` looks at every test image once, which gives about half a point less than the views;
`cnn_jax.train.whole.train_whole` has them.

Theirs in our keys: a loss summed over a batch of B is B times ours, so that a rate for it is B times theirs; a decay of
wd/rate per group is `group_decay=False`. Deviations: batches straddle epochs, and none is dropped; the whitening bias
starts from zero; Muon's momentum is optax's, a mean with its start corrected; `sgd` is without Lookahead, and its
whitening bias runs through a whole schedule in three epochs.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = {"": "tfds:cifar10", "full": "tfds:cifar10", "sgd": "tfds:cifar10", "smoke": "shapes:tiny"}.get(
        arg, f"folder:{arg}"
    )
    config.model = ConfigDict({"name": "airbench:94-muon"})
    config.validation = 0.0  # all 50,000 images are for training
    config.batch_size = 100 if arg == "smoke" else 2000
    config.total_epochs = 8.0
    config.precision = "bfloat16"
    config.label_smoothing = 0.2
    config.augment = ("alternating_flip", "pad_crop:2,mode=reflect")
    config.freeze = ("whiten/kernel",)
    config.schedule = ConfigDict({"name": "polynomial"})
    if arg == "sgd":
        return _sgd(config)
    vectors, head, muon = 0.053 * config.batch_size, 0.67 * config.batch_size, 0.24  # rates
    config.optimizer = ConfigDict(
        {
            "name": "muon",
            "learning_rate": muon,
            "momentum": 0.6,
            "other_momentum": 0.85,
            "newton_schulz": 3,
            "kernel_norm": True,
            "weight_decay": 2e-6 * config.batch_size / muon,
            "decay": "all",
            "decay_form": "l2",
            "group_decay": False,
            "groups": {"whiten": vectors / muon, "*norm*": vectors / muon, "head": head / muon},
            "until": {"whiten/bias": 3 / 8},
        }
    )
    if arg == "smoke":
        config.model.width = 0.25
        config.precision = "float32"
        config.total_epochs = None
        config.total_steps = 20
        config.log_every = 10
    return config


def _sgd(config: ConfigDict) -> ConfigDict:
    config.model = ConfigDict({"name": "airbench:94"})
    config.batch_size = 1024
    config.total_epochs = None
    config.total_steps = 476  # 9.9 epochs of 48 whole batches
    kilostep = 1024 * (1 + 1 / (1 - 0.85))  # by which Nesterov momentum makes steps longer than gradients, times 1,024
    config.optimizer = ConfigDict(
        {
            "name": "nesterov",
            "learning_rate": 11.5 / kilostep * 1024,
            "momentum": 0.85,
            "weight_decay": 0.0153 / 11.5,
            "decay": "all",
            "group_decay": False,
            "groups": {"*norm*": 64.0},
            "until": {"whiten/bias": 144 / 476},
        }
    )
    # Up during 23% of the steps.
    config.schedule = ConfigDict({"name": "polynomial", "warmup_steps": 109, "warmup_from": 0.2, "end": 0.07})
    return config
