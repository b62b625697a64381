"""Does batch norm allow larger learning rates?

Id: C31
Claim: with batch norm a network trains at rates at which it does not without, and reaches less error.
Source: Ioffe and Szegedy 2015, section 4.2.1 and figure 2.
Published: Inception with batch norm trains at 30 times the rate; at 5 times the rate it needs 14 times fewer steps
    for the same accuracy. Without, at 5 times the rate, the parameters overflowed.
Rule: on the test error; a rate trains an arm if its mean error over 5 seeds is at most 10 points above that of the
    arm's best rate. Reproduced if the largest rate that trains is at least 5 times larger with batch norm, and the
    95% interval of the paired difference, each at its best rate by mean validation loss, lies below zero; not
    reproduced if it lies above or the largest rate is no larger; else not separated.
Cost: 70 runs of `lenet:small` with ReLU on 10,000 images of CIFAR-10, 3 epochs.
Gpu: 70 runs of `vgg:small` on all of CIFAR-10, 30 epochs with crops and reflections.

    cnn-jax claims --run batch_norm_rates --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

That batch norm lowers the error is separated. The rates stand on an edge: without norm the error at 0.1 is 10.1 points
above that at its best rate, where 10 are allowed, and five such runs tell it to a few points. Rounding decides: this
was run on two cores; on one core of the same machine 0.1 trains, the ratio is 3, and the verdict `not separated`. Rates
in smaller steps and a network of more than two convolutions would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import NOT_REPRODUCED, NOT_SEPARATED, REPRODUCED, Compared, Finding
from cnn_jax.sweep.order import best_of, judge_order
from cnn_jax.sweep.space import axis, named, product, seeds

ARMS = {"batch norm": {"model.norm": "batch"}, "no norm": {"model.norm": "none"}}
RATE, RATES = "optimizer.learning_rate", (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "lenet:small,activation=relu,pooling=max,initializer=he"})
    config.batch_size = 100
    config.total_steps = 300
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 50})
    config.eval_every = config.checkpoint_every = 300
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "vgg:small,initializer=he"
        config.batch_size, config.augment = 128, ("flip", "pad_crop:4")
        config.total_steps = config.eval_every = config.checkpoint_every = 10_600
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), axis(RATE, RATES), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    found = judge_order(best_of(results, RATE), [("batch norm", "no norm")])
    largest = {arm: _largest_rate(results[results.arm == arm]) for arm in ARMS}
    ratio = largest["batch norm"] / largest["no norm"]
    row = Compared("largest rate that trains, ratio", "30 (5 in the rule)", ratio, ratio >= 5)
    verdict = found.verdict
    if verdict == REPRODUCED and not row.holds:
        verdict = NOT_REPRODUCED if ratio <= 1 else NOT_SEPARATED
    rates = ", ".join(f"{arm} {rate:g}" for arm, rate in largest.items())
    return Finding(verdict, f"{found.says}; largest rate: {rates}", (*found.compared, row))


def _largest_rate(rows: Any) -> float:
    """A run that diverged has the error of chance."""
    error = rows.assign(error=rows.test_error.fillna(0.9)).groupby(RATE).error.mean()
    return float(error[error <= error.min() + 0.1].index.max())
