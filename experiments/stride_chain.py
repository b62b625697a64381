"""How does a map shrink under convolutions of stride 2?

Id: L02
Claim: stride 2 brings a 128 pixel map down to one pixel in a few layers, where stride 1 takes 4 pixels at a time.
Source: ETH part II, lecture on convolutional networks, "strides" (5x5 filters without padding).
Published: stride 1: 128, 124, 120, 116; stride 2: 128, 62, 29, 12.
Rule: reproduced if every size agrees with (N - F) / S + 1, rounded down.
Cost: exact; seconds.
"""

from __future__ import annotations

from cnn_jax import ops
from cnn_jax.sweep.claims import Finding, all_hold, compare

PUBLISHED = {1: (128, 124, 120, 116), 2: (128, 62, 29, 12)}
FILTER = 5


def claim() -> Finding:
    chains = {}
    for strides, published in PUBLISHED.items():
        chains[strides] = [published[0]]
        while len(chains[strides]) < len(published):
            chains[strides].append(ops.output_size(chains[strides][-1], FILTER, strides))
    rows = [compare(f"sizes at stride {strides}", sizes, chains[strides]) for strides, sizes in PUBLISHED.items()]
    return all_hold(f"stride 2 gives {', '.join(map(str, chains[2]))}: (29 - 5) / 2 + 1 = 13", rows)
