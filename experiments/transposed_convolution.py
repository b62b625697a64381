"""Is a transposed convolution the transpose of a convolution's matrix?

Id: C58
Claim: convolution is a matrix C; its backward pass, and the transposed convolution, multiply by C^T; where the stride
    does not divide the kernel, outputs overlap unevenly (the checkerboard).
Source: Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning", section 4.1; TUM, lecture on
    convolutions; Odena et al. 2016, "Deconvolution and Checkerboard Artifacts".
Published: a 3x3 kernel on a 4x4 image is a 4x16 matrix: w00 w01 w02 0 w10 w11 w12 0 w20 w21 w22 and zeros, moved by 0,
    1, 4 and 5 places.
Rule: reproduced if C agrees entry by entry; the columns that `conv_transpose` and the gradient of `conv` give on the
    unit images are C^T exactly; and inner outputs of stride 2 are reached 1, 2 or 4 times at kernel 3, always 4 times
    at kernel 4.
Cost: exact; seconds.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.sweep.claims import Finding, all_hold, compare

FIRST_ROW, MOVES = (1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0), (0, 1, 4, 5)  # w00 is 1, w22 is 9
OVERLAPS = {3: [1, 2, 4], 4: [4]}  # kernel -> times that an inner output is reached at stride 2


def claim() -> Finding:
    kernel = np.arange(1, 10, dtype=np.float32).reshape(3, 3, 1, 1)
    matrix = ops.conv_matrix(kernel, (4, 4), padding="VALID")
    overlaps = {k: _overlaps(k) for k in OVERLAPS}
    rows = [
        compare("matrix C", [list(np.roll(FIRST_ROW, move).tolist()) for move in MOVES], matrix.tolist()),
        compare("transposed convolution of unit images", matrix.tolist(), _transposed(kernel)),
        compare("gradient of the convolution", matrix.tolist(), _gradients(kernel)),
        *(compare(f"overlaps of kernel {k} at stride 2", counts, overlaps[k]) for k, counts in OVERLAPS.items()),
    ]
    reached = "; ".join(f"kernel {k} reaches an output {' or '.join(map(str, n))} times" for k, n in overlaps.items())
    return all_hold(f"C is {matrix.shape[0]}x{matrix.shape[1]}; at stride 2 {reached}", rows)


def _units() -> jax.Array:
    """The four 2x2 images with a single one, [4, 2, 2, 1]."""
    return jnp.eye(4).reshape(4, 2, 2, 1)


def _transposed(kernel: np.ndarray) -> list[list[float]]:
    return ops.conv_transpose(_units(), jnp.asarray(kernel), padding="VALID").reshape(4, 16).tolist()


def _gradients(kernel: np.ndarray) -> list[list[float]]:
    _, pull = jax.vjp(lambda x: ops.conv(x, jnp.asarray(kernel), padding="VALID"), jnp.zeros((4, 4, 4, 1)))
    return pull(_units())[0].reshape(4, 16).tolist()


def _overlaps(kernel_size: int) -> list[int]:
    """How often outputs away from the border are reached, the kernel being all ones: each number that occurs."""
    ones = jnp.ones((kernel_size, kernel_size, 1, 1))
    reached = ops.conv_transpose(jnp.ones((1, 8, 8, 1)), ones, strides=2, padding="VALID")[0, 4:-4, 4:-4, 0]
    return sorted({int(count) for count in np.unique(reached)})
