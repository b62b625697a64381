"""`lenet:modern` and softmax once more, in NumPy loops over single images."""

from __future__ import annotations

from typing import Any

import numpy as np


def probabilities(run: Any, image: np.ndarray) -> np.ndarray:
    """float64 `[classes]` for one uint8 image `[H, W, C]` of the network's own size."""
    return softmax(scores(run, image))


def scores(run: Any, image: np.ndarray) -> np.ndarray:
    params = run.variables["params"]
    x = (image / 255 - np.array(run.spec.mean)) / np.array(run.spec.std)
    for layer in ("conv1", "conv2"):
        x = _pooled(np.tanh(_convolved(x, params[layer])))
    x = x.reshape(-1)
    for layer in ("fc1", "fc2"):
        x = np.tanh(x @ np.asarray(params[layer]["kernel"], np.float64) + np.asarray(params[layer]["bias"]))
    return x @ np.asarray(params["fc3"]["kernel"], np.float64) + np.asarray(params["fc3"]["bias"])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def _convolved(x: np.ndarray, params: Any) -> np.ndarray:
    kernel, bias = np.asarray(params["kernel"], np.float64), np.asarray(params["bias"])
    side = kernel.shape[0]
    height, width = x.shape[0] - side + 1, x.shape[1] - side + 1
    out = np.zeros((height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            out[i, j] = np.tensordot(x[i : i + side, j : j + side], kernel, 3) + bias
    return out


def _pooled(x: np.ndarray) -> np.ndarray:
    height, width = x.shape[0] // 2, x.shape[1] // 2
    return np.array(
        [[x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((0, 1)) for j in range(width)] for i in range(height)]
    )
