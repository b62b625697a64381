"""A synthetic sweep, made as a real one would be written."""

from __future__ import annotations

from typing import Any

import numpy as np

# family, label, model, year, paper, params, macs, test error as it might come out
NETWORKS = [
    ("linear", "Linear", "linear", 1958, "Rosenblatt 1958", 30_730, 30_720, 0.678),
    ("mlp", "MLP", "mlp:300", 1986, "Rumelhart et al. 1986", 924_910, 924_600, 0.602),
    ("lenet", "LeNet-5", "lenet:modern", 1998, "LeCun et al. 1998", 62_006, 651_720, 0.487),
    ("alexnet", "AlexNet", "alexnet:small", 2012, "Krizhevsky et al. 2012", 1_250_858, 26_000_384, 0.331),
    ("zfnet", "ZFNet", "zfnet:small", 2013, "Zeiler & Fergus 2014", 1_304_906, 31_840_256, 0.318),
    ("vgg", "VGG", "vgg:small", 2014, "Simonyan & Zisserman 2015", 1_147_466, 38_338_560, 0.212),
    ("googlenet", "GoogLeNet", "googlenet:small", 2014, "Szegedy et al. 2015", 346_218, 25_100_288, 0.226),
    ("resnet", "ResNet", "resnet:small", 2015, "He et al. 2016", 272_474, 40_813_184, 0.154),
    ("xception", "Xception", "xception:small", 2017, "Chollet 2017", 254_890, 21_400_064, 0.171),
]


def synthetic(seeds: int = 3, epochs: int = 5, scale: float = 1.0) -> dict[str, Any]:
    """A results document whose errors are those of `NETWORKS`, times `scale`, spread by a common seed effect."""
    cells = []
    for index, (family, *_, error) in enumerate(NETWORKS):
        for seed in range(seeds):
            noise = np.random.default_rng([index, seed])
            final = scale * (error + 0.006 * (seed - 1) + float(noise.normal(0, 0.004)))
            name = f"{index}{seed}".ljust(12, "a")
            curve = []
            for epoch in range(1, epochs + 1):
                left = (0.9 - final) * float(np.exp(-3.0 * epoch / epochs)) + float(noise.normal(0, 0.008 * scale))
                now = min(max(final + left, 0.001), 0.95)
                curve.append(
                    {
                        "step": 141 * epoch, "epoch": float(epoch), "train_accuracy": 1 - 0.9 * now,
                        "train_loss": 2.3 * now, "validation_accuracy": 1 - now, "validation_loss": 2.4 * now,
                    }
                )  # fmt: skip
            cells.append(
                {
                    "family": family, "seed": seed, "id": name, "workdir": name, "status": "done", "error": None,
                    "seconds": 4.0 + 3 * index + seed, "steps": 141 * epochs, "best_step": 141 * epochs,
                    "train": {"loss": 2 * final, "accuracy": 1 - 0.8 * final},
                    "validation": {"loss": 2 * final, "accuracy": 1 - final, "top5": 1 - final / 8, "n": 2000},
                    "test": {"loss": 2 * final, "accuracy": 1 - final, "top5": 1 - final / 8, "n": 4000},
                    "curve": curve,
                }
            )  # fmt: skip
    return {
        "experiment": "history", "preset": "laptop", "data": "shapes",
        "classes": ["disc", "ring", "square", "triangle", "star", "cross", "crescent", "arrow", "heart", "bolt"],
        "sizes": {"train": 18000, "validation": 2000, "test": 4000}, "image_shape": [32, 32, 3], "chance_error": 0.9,
        "budget": {"total_epochs": epochs, "batch_size": 128, "optimizer": "momentum", "schedule": "cosine"},
        "environment": {
            "versions": {"cnn-jax": "0.1.0", "jax": "0.10.2", "flax": "0.12.8", "numpy": "2.4.6"}, "devices": ["cpu"],
            "commit": "226f6b3c5f0f4c3f9a52ad1b2e7f7b5d8a1c9e04", "cpu_count": 2, "platform": "cpu", "python": "3.11.2",
        },
        "seconds": 431.0,
        "networks": [
            {"family": f, "label": label, "model": m, "year": y, "paper": paper, "params": params, "macs": macs}
            for f, label, m, y, paper, params, macs, _ in NETWORKS
        ],
        "cells": cells,
    }  # fmt: skip
