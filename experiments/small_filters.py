"""Are stacks of 3x3 filters cheaper than one large filter with the same view?

Id: C48
Claim: two 3x3 convolutions see as far as one 5x5, three as far as one 7x7, with fewer weights.
Source: Simonyan and Zisserman 2014, "Very Deep Convolutional Networks", section 2.3.
Published: fields 5 and 7; 18 against 25 and 27 against 49 times C^2 weights; a 7x7 layer needs 81% more.
Rule: reproduced if fields and weights agree exactly, and the surplus to a whole per cent.
Cost: exact; seconds.
"""

from __future__ import annotations

import flax.linen as fnn

from cnn_jax import analysis, nn
from cnn_jax.sweep.claims import Finding, all_hold, compare

CHANNELS, SIZE = 64, 32
# Filters of the stack -> its field and its weights by C^2.
PUBLISHED = {(3, 3): (5, 18), (5,): (5, 25), (3, 3, 3): (7, 27), (7,): (7, 49)}


def claim() -> Finding:
    rows, weights = [], {}
    for filters, (field, per_square) in PUBLISHED.items():
        stack = fnn.Sequential([nn.Conv(CHANNELS, f, padding=nn.same_padding(f)) for f in filters])
        total = analysis.show(stack, (SIZE, SIZE, CHANNELS)).total
        weights[filters] = total.weights
        name = ", ".join(f"{f}x{f}" for f in filters)
        rows += [
            compare(f"{name}: receptive field", [field, field], total.receptive_field),
            compare(f"{name}: weights by C^2", per_square, total.weights / CHANNELS**2),
        ]
    surplus = 100 * (weights[7,] / weights[3, 3, 3] - 1)
    rows.append(compare("one 7x7 has more than three 3x3, %", 81, surplus, digits=0))
    return all_hold(f"18 against 25, 27 against 49 times C^2; {surplus:.1f}% more for 7x7", rows)
