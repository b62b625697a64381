"""How much memory does one image take in VGG-16?

Id: L03
Claim: a forward pass of VGG-16 keeps 24 M floats, about 93 MB an image.
Source: TUM, Introduction to Deep Learning, lecture on architectures, after CS231n ("24M * 4 bytes ~= 93MB / image").
Published: 24 M floats; 93 MB.
Rule: reproduced if input, convolutions, pools and fully connected layers, all of which the lecture lists, hold floats
    that round to 24 M and bytes that round to 93 MB.
Cost: exact; seconds.
"""

from __future__ import annotations

import math

from cnn_jax import analysis
from cnn_jax.sweep.claims import Finding, all_hold, compare


def claim() -> Finding:
    table = analysis.show_named("vgg:D")
    floats = math.prod(table.input) + table.total.activations
    rows = [
        compare("million floats", 24, floats / 1e6, digits=0),
        compare("million bytes", 93, 4 * floats / 1e6, digits=0),
    ]
    return all_hold(f"{floats:,} floats, {4 * floats / 1e6:.1f} MB", rows)
