"""Does dilation make receptive fields grow exponentially at linear cost?

Id: C35
Claim: doubling the dilation from layer to layer grows the receptive field exponentially, at a cost linear in depth.
Source: Yu and Koltun 2016, "Multi-Scale Context Aggregation by Dilated Convolutions", figure 1 and table 1.
Published: fields 3, 7, 15, 31 at dilations 1, 2, 4, 8, and 3, 5, 7, 9 without; 67 for the context module.
Rule: reproduced if all fields agree, both by the formula and by the pixels on which the gradient of the middle output
    is not zero, and every layer of the dilated stack has the weights of the plain one.
Cost: exact; seconds.
"""

from __future__ import annotations

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import analysis, nn, ops
from cnn_jax.sweep.claims import Finding, all_hold, compare

# (kernel, dilation) of each layer, and the receptive field after it.
STACKS = {
    "dilated": (((3, 1), (3, 2), (3, 4), (3, 8)), (3, 7, 15, 31)),
    "plain": (((3, 1),) * 4, (3, 5, 7, 9)),
    "context module": (
        ((3, 1), (3, 1), (3, 2), (3, 4), (3, 8), (3, 16), (3, 1), (1, 1)),
        (3, 5, 9, 17, 33, 65, 67, 67),
    ),
}
SIZE = 81  # wider than the widest field


def claim() -> Finding:
    rows, weights, fields = [], {}, {}
    for name, (layers, published) in STACKS.items():
        convolutions = [
            nn.Conv(1, kernel, padding=dilation * (kernel // 2), kernel_dilation=dilation, use_bias=False)
            for kernel, dilation in layers
        ]
        table = analysis.show(fnn.Sequential(convolutions), (SIZE, SIZE, 1))
        weights[name] = [row.weights for row in table]
        fields[name] = [(row.receptive_field or (0,))[0] for row in table]
        rows.append(compare(f"{name}: fields by the formula", published, fields[name]))
    for name, widths in jax.jit(_footprints)().items():
        rows.append(compare(f"{name}: widths of the gradient", STACKS[name][1], widths.tolist()))
    rows.append(compare("weights a layer, dilated as plain", weights["plain"], weights["dilated"]))
    shown = "; ".join(f"{name} {', '.join(map(str, fields[name]))}" for name in STACKS)
    return all_hold(f"{shown}; weights a layer {weights['dilated'][0]} and {weights['plain'][0]}", rows)


def _footprints() -> dict[str, jax.Array]:
    """For each stack, after each layer: pixels of a line that the middle output depends on, kernels being all ones."""

    def middles(x: jax.Array, layers: tuple[tuple[int, int], ...]) -> jax.Array:
        outputs = []
        for kernel, dilation in layers:
            pad = dilation * (kernel // 2)
            x = ops.conv(x, jnp.ones((kernel, 1, 1)), padding=pad, kernel_dilation=dilation)
            outputs.append(x[0, SIZE // 2, 0])
        return jnp.stack(outputs)

    line = jnp.zeros((1, SIZE, 1))
    gradients = {name: jax.jacrev(middles)(line, layers) for name, (layers, _) in STACKS.items()}
    return {name: (gradient != 0).sum((1, 2, 3)) for name, gradient in gradients.items()}
