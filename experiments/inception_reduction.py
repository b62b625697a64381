"""Do 1x1 reductions make an inception module cheaper?

Id: C20
Claim: 1x1 reductions before the 3x3 and 5x5 convolutions cut the cost of an inception module.
Source: Szegedy et al. 2014, "Going Deeper with Convolutions", figure 2 (a: naive, b: reduced) and table 1 (row 3a).
Published: module 3a on 28x28x192: 303.5 M to 128.0 M MACs, 387,072 to 163,328 weights, 416 to 256 channels.
Rule: reproduced if MACs agree to 0.1 M, and weights and channels exactly.
Cost: exact; seconds.
"""

from __future__ import annotations

from cnn_jax import analysis, nn
from cnn_jax.sweep.claims import Finding, all_hold, compare

INPUT = (28, 28, 192)
WIDTHS = nn.Widths(one=64, reduce_3x3=96, three=128, reduce_5x5=16, five=32, pool_proj=32)
PUBLISHED = {"naive": (303.5, 387_072, 416), "reduced": (128.0, 163_328, 256)}  # million MACs, weights, channels


def claim() -> Finding:
    rows, macs = [], {}
    for kind, (million, weights, channels) in PUBLISHED.items():
        table = analysis.show(nn.Inception(WIDTHS, kind), INPUT)
        macs[kind] = table.total.macs
        rows += [
            compare(f"{kind}: million MACs", million, table.total.macs / 1e6, digits=1),
            compare(f"{kind}: weights", weights, table.total.weights),
            compare(f"{kind}: channels", channels, table.layers[-1].output[-1]),
        ]
    ratio = macs["naive"] / macs["reduced"]
    return all_hold(f"{macs['naive'] / 1e6:.1f} M to {macs['reduced'] / 1e6:.1f} M MACs, {ratio:.2f} times fewer", rows)
