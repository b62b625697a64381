"""Who bears a shifted image?

Id: C45
Claim: a fully connected network becomes tolerant of shifts by training on shifted images; a convolutional one is more
    tolerant without.
Source: ETH part II, lecture on convolutional networks (random shifts as augmentation).
Published: in words.
Rule: on the error on test images moved by 3 pixels in one of eight directions; reproduced if the two 95% intervals
    (97.5% each) of the paired differences MLP trained on shifts less MLP, and LeNet less MLP, both without shifts, 5
    seeds, lie below zero; not reproduced if one lies above it; else not separated. LeNet trained on shifts is run
    beside them.
Cost: 20 runs on 10,000 images of MNIST, 10 epochs.
Gpu: 20 runs on all of MNIST, 20 epochs.

    cnn-jax claims --run shift_tolerance --config.data=folder:PATH

PATH is a folder of MNIST's images, PATH/{train,test}/CLASS/*; without it, the data that TFDS has prepared is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.sweep.claims import Finding
from cnn_jax.sweep.order import judge_order
from cnn_jax.sweep.space import named, product, seeds
from cnn_jax.train.loop import load_config_data

SHIFT = 3
ARMS = {
    "MLP": {"model.name": "mlp:500-150"},
    "MLP on shifts": {"model.name": "mlp:500-150", "augment": (f"pad_crop:{SHIFT}",)},
    "LeNet": {"model.name": "lenet:modern"},
    "LeNet on shifts": {"model.name": "lenet:modern", "augment": (f"pad_crop:{SHIFT}",)},
}


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "tfds:mnist"
    config.train_images = 10_000
    config.image_size, config.fit = 32, "pad"
    config.model = ConfigDict({"name": "mlp:500-150"})
    config.batch_size = 100
    config.total_steps = 1_000
    config.optimizer = ConfigDict({"name": "momentum", "learning_rate": 0.03, "weight_decay": 0.0005})
    config.schedule = ConfigDict({"name": "cosine", "warmup_steps": 100})
    config.eval_every = config.checkpoint_every = 1_000
    config.num_devices = 1
    if arg == "gpu":
        config.train_images = None
        config.total_steps = config.eval_every = config.checkpoint_every = 10_800
    return config


def sweep(add) -> None:
    for settings in product(named(ARMS), seeds(5)):
        add(**settings)


def measure(run: Any) -> dict[str, float]:
    """Each test image once, moved in the direction that its number modulo 8 names."""
    test = load_config_data(run.config).splits["test"]
    directions = [(y, x) for y in (-SHIFT, 0, SHIFT) for x in (-SHIFT, 0, SHIFT) if (y, x) != (0, 0)]
    wrong = 0
    for i, by in enumerate(directions):
        # Digits lie inside a border that is wider than the shift: what rolls over the edge is black.
        images, labels = np.roll(test.image[i::8], by, (1, 2)), test.label[i::8]
        wrong += int((run.predict(images).argmax(-1) != labels).sum())
    return {"shifted_error": wrong / len(test)}


def claim(results: Any) -> Finding:
    pairs = [("MLP on shifts", "MLP"), ("LeNet", "MLP")]
    what = f"test error when moved by {SHIFT} pixels, %"
    return judge_order(results, pairs, "shifted_error", what=what, beside=("LeNet on shifts",))
