"""How many parameters does sharing weights save?

Id: L01
Claim: a convolution needs few parameters where a fully connected layer needs millions, as its weights are shared.
Source: TUM, Introduction to Deep Learning, lecture on convolutions; ETH part II, exercise "number of parameters";
    Pollefeys; CS231n (AlexNet's first layer).
Published: FC from 1000x1000x3 to 1,000 units 3,000,000,000 weights, from 64x64 to 128 524,288; ten 5x5x3 filters 760
    parameters; AlexNet's first layer 35 K, unshared 105,705,600; the exercise 1,090,560 by FC layers, 705,424 by
    convolutions.
Rule: reproduced if all counts agree exactly, 35 K to the digits printed.
Cost: exact; seconds.
"""

from __future__ import annotations

import math

import flax.linen as fnn

from cnn_jax import analysis, nn
from cnn_jax.sweep.claims import Finding, all_hold, compare


def claim() -> Finding:
    exercise_fc = _total([_flat, *map(nn.Dense, (256, 128, 64, 16))], (64, 64, 1))
    exercise_conv = _total([*(nn.Conv(16, 5, padding=0) for _ in range(3)), _flat, nn.Dense(16)], (64, 64, 1))
    conv1 = analysis.show_named("alexnet:paper")["conv1"]
    unshared = math.prod(conv1.output) * (conv1.params // conv1.output[-1])  # each unit a filter and a bias of its own
    rows = [
        compare("FC, 1000x1000x3 to 1,000: weights", 3_000_000_000, _fc((1000, 1000, 3), 1000)),
        compare("FC, 64x64 to 128: weights", 524_288, _fc((64, 64, 1), 128)),
        compare("ten 5x5x3 filters: parameters", 760, _total([nn.Conv(10, 5, padding=2)], (32, 32, 3)).params),
        compare("AlexNet's conv1: thousand parameters", 35, conv1.params / 1e3, digits=0),
        compare("AlexNet's conv1, unshared: parameters", 105_705_600, unshared),
        compare("exercise, FC: weights", 1_090_560, exercise_fc.weights),
        compare("exercise, convolutions: weights", 705_424, exercise_conv.weights),
    ]
    exercise = f"{exercise_fc.weights:,} and {exercise_conv.weights:,}"
    return all_hold(f"AlexNet's conv1 {conv1.params:,}, unshared {unshared:,}; the exercise {exercise}", rows)


def _flat(x):
    return x.reshape(x.shape[0], -1)


def _total(layers, input_shape):
    return analysis.show(fnn.Sequential(layers), input_shape).total


def _fc(input_shape: tuple[int, ...], units: int) -> int:
    return _total([_flat, nn.Dense(units)], input_shape).weights
