"""What do layers without activations between them add up to?

Id: C49
Claim: a stack of linear layers, or of convolutions, is one linear layer, or one convolution; an activation breaks that.
Source: Stachniss, lecture on neural networks; Pollefeys ("why non-linear activations").
Published: f * (g1 * ... * gn) = f * g for convolutions; W3 (W2 (W1 x)) = (W3 W2 W1) x for layers.
Rule: reproduced if on whole numbers both sides are equal exactly, and differ with ReLU between the layers.
Cost: exact; seconds.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.sweep.claims import Finding, all_hold, compare

LAYERS, SIZE, CHANNELS = 3, 14, 2


def claim() -> Finding:
    # Whole numbers small enough that float32 holds every sum: equal means equal.
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.integers(-3, 4, (1, SIZE, SIZE, CHANNELS)), jnp.float32)
    kernels = [jnp.asarray(rng.integers(-2, 3, (3, 3, CHANNELS, CHANNELS)), jnp.float32) for _ in range(LAYERS)]
    matrices = [jnp.asarray(rng.integers(-3, 4, (8, 8)), jnp.float32) for _ in range(LAYERS)]
    vector = jnp.asarray(rng.integers(-3, 4, (8, 1)), jnp.float32)

    def sides(image: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        one = ops.convolve(image, functools.reduce(_composed, kernels), padding="VALID")
        product = functools.reduce(lambda first, then: then @ first, matrices) @ vector
        return {
            "convolutions": (_stack(image, kernels, ops.identity), one),
            "convolutions with ReLU": (_stack(image, kernels, ops.relu), one),
            "layers": (_layers(vector, matrices, ops.identity), product),
            "layers with ReLU": (_layers(vector, matrices, ops.relu), product),
        }

    equal = {name: bool(jnp.array_equal(*pair)) for name, pair in jax.jit(sides)(image).items()}
    size = jax.eval_shape(lambda: functools.reduce(_composed, kernels)).shape[:2]
    rows = [compare("size of the one filter", [7, 7], size)]
    rows += [compare(f"{name}: equal", "ReLU" not in name, equal[name]) for name in equal]
    yes, no = (", ".join(name for name in equal if equal[name] is which) for which in (True, False))
    return all_hold(
        f"{LAYERS} 3x3 filters are one {size[0]}x{size[1]}; equal bit for bit: {yes}; different: {no}", rows
    )


def _composed(first: jax.Array, then: jax.Array) -> jax.Array:
    """The kernel of `then` after `first`: their full convolution, [k1 + k2 - 1, ., C_in, C_out]."""
    rows = jnp.moveaxis(first, 2, 0)  # [C_in, k, k, C_mid]: one image for each input channel
    full = ops.convolve(rows, then, padding=then.shape[0] - 1)
    return jnp.moveaxis(full, 0, 2)


def _stack(x: jax.Array, kernels: list[jax.Array], between) -> jax.Array:
    for kernel in kernels[:-1]:
        x = between(ops.convolve(x, kernel, padding="VALID"))
    return ops.convolve(x, kernels[-1], padding="VALID")


def _layers(x: jax.Array, matrices: list[jax.Array], between) -> jax.Array:
    for matrix in matrices[:-1]:
        x = between(matrix @ x)
    return matrices[-1] @ x
