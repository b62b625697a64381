"""Is a first layer of 7x7 over 2 better than one of 11x11 over 4?

Id: C11
Claim: smaller filters in smaller steps in the first layer lower the error, and leave fewer filters dead.
Source: Zeiler and Fergus 2013, sections 4.1 and 5.1, table 2.
Published: top-1 40.5 to 38.4, top-5 18.1 to 16.5% on ImageNet.
Rule: on the test error; reproduced if the 95% interval of the paired difference, 5 seeds, lies below zero; not
    reproduced if it lies above; else not separated. Filters that fire nowhere on 1,000 test images are counted too.
Cost: 10 runs of `alexnet:small` at half the width on `shapes:64`, 10 epochs of 4,000 images. As in the paper conv2
    makes up for the smaller step.
Gpu: 10 runs at full width on all of `shapes:64`, 30 epochs.

    cnn-jax claims --run first_layer

Here no filter of either network is dead, and the errors overlap. What Zeiler and Fergus saw missing were the middle
frequencies of photographs; these shapes are flat and fill the image. Photographs of 128 pixels and more, with 96
filters and training until neither improves, would tell.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.inspect.dead import firing
from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds
from cnn_jax.train.loop import load_config_data

ARMS = {
    "7x7 over 2": {"model.kernel_size": 7, "model.strides": 2, "model.padding": 3, "model.strides_2": 2},
    "11x11 over 4": {"model.kernel_size": 11, "model.strides": 4, "model.padding": 5, "model.strides_2": 1},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "shapes:64"
    config.train_images = 4_000
    config.model = ConfigDict({"name": "alexnet:small,width=0.5"})
    config.batch_size = 100
    config.total_steps = 400
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.02, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 400
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.model.name = "alexnet:small"
        config.total_steps = config.eval_every = config.checkpoint_every = 5_400
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def measure(run: Any) -> dict[str, float]:
    test = load_config_data(run.config).splits["test"]
    first = firing(run, test.image[:1_000])[0]
    return {"dead_filters": int((first.share == 0).sum()), "filters": len(first.share)}


def claim(results: Any) -> Finding:
    found = judge_order(results, [("7x7 over 2", "11x11 over 4")])
    dead = ", ".join(f"{arm} {results[results.arm == arm].dead_filters.mean():.1f}" for arm in ARMS)
    return found._replace(says=f"{found.says}; dead filters of {results.filters.iloc[0]:.0f}: {dead}")
