"""Which learning rate suits which batch?

Id: C57
Claim: with too small a rate a network learns slowly and with too large a one not at all, so that the error has a
    minimum between; the larger the batch, the less noise in its gradient and the larger the best rate.
Source: Goyal et al. 2017, section 2.1, for the proportion; lectures on stochastic gradient descent (batches of 32, 64,
    128).
Published: "when the minibatch size is multiplied by k, multiply the learning rate by k".
Rule: on the test error after the same epochs, 5 seeds; a batch's best rate is that of the lowest mean validation loss,
    and a run that diverged has the error of chance. Reproduced if for each of the three batches the 95% intervals
    (99.2% each) of the paired differences best less smallest and best less largest rate lie below zero, and the best
    rate rises by 2 to 8 from 32 to 128 and nowhere falls; not reproduced if it is not higher at 128 than at 32, or
    one of the intervals lies above zero; else not separated.
Cost: 135 runs of `lenet:small` with ReLU on 10,000 images of CIFAR-10, 5 epochs, momentum 0.9.
Gpu: 135 runs on all of CIFAR-10, 30 epochs.

    cnn-jax claims --run batch_and_rate --config.data=folder:PATH

PATH is a folder of CIFAR-10's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.

The best rates double with the batch, step by step, as the rule of proportion says; the grid is one of doublings, so
that between them nothing is known.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.sweep.claims import NOT_REPRODUCED, NOT_SEPARATED, REPRODUCED, Compared, Finding
from cnn_jax.sweep.order import best_of, judge_order
from cnn_jax.sweep.space import axis, named, product, seeds

BATCHES = {f"B={size}": {"batch_size": size} for size in (32, 64, 128)}
RATE, RATES = "optimizer.learning_rate", tuple(0.002 * 2**i for i in range(9))


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:cifar10"
    config.train_images = 10_000
    config.model = ConfigDict({"name": "lenet:small,activation=relu,pooling=max,initializer=he"})
    config.batch_size = 64
    config.total_epochs = 5
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.002})
    config.schedule = ConfigDict({"name": "cosine"})
    config.eval_every = config.checkpoint_every = 10_000
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.total_epochs = 30
        config.eval_every = config.checkpoint_every = 50_000
    return config


def sweep(add) -> None:
    for settings in product(named(BATCHES), axis(RATE, RATES), seeds(5)):
        add(**settings)


def claim(results: Any) -> Finding:
    results = results.assign(test_error=results.test_error.fillna(0.9))  # a run that diverged is as good as chance
    best = {arm: float(best_of(results[results.arm == arm], RATE)[RATE].iloc[0]) for arm in BATCHES}
    pairs = [(_at(arm, best[arm]), _at(arm, end)) for arm in BATCHES for end in (RATES[0], RATES[-1])]
    found = judge_order(_arms_by_rate(results), pairs)
    growth = best["B=128"] / best["B=32"]
    rises = sorted(best.values()) == list(best.values()) and 2 <= growth <= 8
    row = Compared("best rate, 128 over 32", "4", growth, rises)
    verdict = found.verdict
    if growth <= 1:
        verdict = NOT_REPRODUCED
    elif verdict == REPRODUCED and not rises:
        verdict = NOT_SEPARATED
    return Finding(verdict, found.says, (*found.compared, row))


def _at(arm: str, rate: float) -> str:
    return f"{arm} at {rate:g}"


def _arms_by_rate(results: Any) -> Any:
    return results.assign(arm=[_at(arm, rate) for arm, rate in zip(results.arm, results[RATE], strict=True)])
