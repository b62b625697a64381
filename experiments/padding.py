"""What does a convolution lose without padding?

Id: C47
Claim: without padding maps shrink from layer to layer, and pixels at the border are used less than others.
Source: TUM, Introduction to Deep Learning, lecture on convolutions (sizes; "corner pixel is only used once").
Published: 32, 28, 24, 20 under 5x5 filters; a corner pixel is used once, an inner one nine times by a 3x3 filter; with
    padding (F - 1) / 2 the size stays.
Rule: reproduced if all sizes and counts agree.
Cost: exact; seconds.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.sweep.claims import Finding, all_hold, compare

SIZES, FILTER = (32, 28, 24, 20), 5
USES = {"corner": ((0, 0), 1), "beside it": ((0, 1), 2), "edge": ((0, 3), 3), "inner": ((3, 3), 9)}


def claim() -> Finding:
    sizes = [SIZES[0]]
    while len(sizes) < len(SIZES):
        sizes.append(ops.output_size(sizes[-1], FILTER))
    uses = _uses((7, 7), 3, padding=0)
    padded = [ops.output_size(SIZES[0], filter_size, 1, (pad, pad)) for filter_size, pad in ((3, 1), (5, 2), (7, 3))]
    rows = [
        compare("sizes under 5x5 filters without padding", SIZES, sizes),
        *(compare(f"uses of a pixel, {name}", count, int(uses[at])) for name, (at, count) in USES.items()),
        compare("sizes with padding 1, 2, 3 for filters of 3, 5, 7", [SIZES[0]] * 3, padded),
    ]
    return all_hold(f"sizes {', '.join(map(str, sizes))}; corner {uses[0, 0]:.0f} use, inner {uses[3, 3]:.0f}", rows)


def _uses(size: tuple[int, int], filter_size: int, padding: int) -> jax.Array:
    """How many outputs each pixel takes part in: the gradient of their sum, the filter being all ones."""
    ones = jnp.ones((filter_size, filter_size, 1, 1))
    return jax.grad(lambda x: ops.conv(x, ones, padding=padding).sum())(jnp.zeros((1, *size, 1)))[0, :, :, 0]
