"""Is convolution equivariant to translation, and what is not?

Id: C43
Claim: convolution commutes with translation; a fully connected layer does not; a whole network is not invariant.
Source: ETH part II, lecture on convolutional networks ("translation equivariance"); Pollefeys; Goodfellow et al. 2016,
    Deep Learning, section 9.2.
Published: exact with wrapped borders, and inside with zero padding; with stride s, for multiples of s only.
Rule: reproduced if, on whole numbers, the difference between shifting before and after is 0 wherever the claim says so,
    and above 0 wherever it says not.
Cost: exact; seconds.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import models, ops
from cnn_jax.sweep.claims import Finding, all_hold, compare

SIZE, SHIFT = 16, 3
CLAIMED = {  # whether moving before equals moving after
    "wrapped borders": True,
    "zero padding inside": True,
    "zero padding at the border": False,
    "stride 2 moved by 2": True,
    "stride 2 moved by 1": False,
    "fully connected": False,
    "logits of LeNet": False,
}


def claim() -> Finding:
    rng = np.random.default_rng(0)
    image = rng.integers(-8, 9, (1, SIZE, SIZE, 3)).astype(np.float32)
    kernel = rng.integers(-8, 9, (3, 3, 3, 4)).astype(np.float32)
    matrix = rng.integers(-8, 9, (SIZE * SIZE * 3, SIZE * SIZE)).astype(np.float32)
    model = models.create("lenet:small", kernel_size=3)
    variables = jax.tree.map(
        lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32),
        jax.eval_shape(model.init, jax.random.key(0), image),
    )
    largest = jax.jit(lambda image: _differences(image, kernel, matrix, lambda x: model.apply(variables, x)[0]))(image)
    equal = {name: bool(largest[name] == 0) for name in CLAIMED}
    rows = [compare(f"{name}: equal", claimed, equal[name]) for name, claimed in CLAIMED.items()]
    yes, no = (", ".join(name for name in equal if equal[name] is which) for which in (True, False))
    return all_hold(f"equal: {yes}; different: {no}", rows)


def _differences(image, kernel, matrix, network) -> dict[str, jax.Array]:
    """The largest difference between moving before and moving after, of everything in `CLAIMED`."""

    def convolved(x: jax.Array, mode: str, strides: int = 1) -> jax.Array:
        return ops.conv(x, kernel, strides=strides, padding=1, padding_mode=mode)

    def connected(x: jax.Array) -> jax.Array:
        return (x.reshape(1, -1) @ matrix).reshape(1, SIZE, SIZE, 1)

    zeros = convolved(_moved(image), "zeros") - _moved(convolved(image, "zeros"))
    inner = slice(SHIFT + 1, -SHIFT - 1)  # what neither the border nor what came back on the other side can reach
    strided = convolved(image, "wrap", 2)
    by_one = convolved(_moved(image, 1), "wrap", 2)
    found = {
        "wrapped borders": convolved(_moved(image), "wrap") - _moved(convolved(image, "wrap")),
        "zero padding inside": zeros[:, inner, inner],
        "zero padding at the border": zeros,
        "stride 2 moved by 2": convolved(_moved(image, 2), "wrap", 2) - _moved(strided, 1),
        "fully connected": connected(_moved(image)) - _moved(connected(image)),
        "logits of LeNet": network(_moved(image)) - network(image),
    }
    largest = {name: jnp.abs(difference).max() for name, difference in found.items()}
    # No shift of the old map gives the new one: the nearest counts.
    nearest = [jnp.abs(by_one - _moved(strided, by)).max() for by in range(2)]
    return largest | {"stride 2 moved by 1": jnp.stack(nearest).min()}


def _moved(x: jax.Array, by: int = SHIFT) -> jax.Array:
    """Moved right and down, what leaves coming back on the other side."""
    return jnp.roll(x, (by, by), (1, 2))
