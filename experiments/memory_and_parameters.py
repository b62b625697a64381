"""Where do the memory and the parameters of VGG-16 sit?

Id: C54
Claim: the early convolutions hold the memory, the fully connected layers the parameters.
Source: TUM, Introduction to Deep Learning, lecture on architectures (the VGG-16 table, after CS231n).
Published: fc6 has 102,760,448 of 138,344,128 weights, 74.3%; the two convolutions at 224x224 hold 42% of the
    activations.
Rule: reproduced if the weights agree exactly and the shares to the digits printed.
Cost: exact; seconds.
"""

from __future__ import annotations

import math

from cnn_jax import analysis
from cnn_jax.sweep.claims import Finding, all_hold, compare


def claim() -> Finding:
    table = analysis.show_named("vgg:D")
    fc6, weights = table["fc6"].weights, table.total.weights
    floats = math.prod(table.input) + table.total.activations
    early = table["conv1_1"].activations + table["conv1_2"].activations
    rows = [
        compare("weights of fc6", 102_760_448, fc6),
        compare("weights in all", 138_344_128, weights),
        compare("share of fc6, %", 74.3, 100 * fc6 / weights, digits=1),
        compare("activations of conv1_1 and conv1_2, %", 42, 100 * early / floats, digits=0),
    ]
    shares = 100 * fc6 / weights, 100 * early / floats
    return all_hold("fc6 {:.1f}% of the weights, conv1 {:.1f}% of the activations".format(*shares), rows)
