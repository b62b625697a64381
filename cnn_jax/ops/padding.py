"""Padding of images by zeros or from their own border.

The border modes are those of `numpy.pad`, named the same: for a row `a b c d` padded by two,

    zeros      0 0 | a b c d | 0 0
    wrap       c d | a b c d | a b      a torus; convolution is then exactly translation equivariant
    edge       a a | a b c d | d d      "clamp"
    reflect    c b | a b c d | c b      "mirror", the border pixel not repeated
    symmetric  b a | a b c d | d c      "mirror", the border pixel repeated
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Num

from cnn_jax.errors import GeometryError
from cnn_jax.ops.geometry import Pads

PADDING_MODES = ("zeros", "wrap", "edge", "reflect", "symmetric")


def check_padding_mode(mode: str, padding: Pads, sizes: tuple[int, ...]) -> None:
    """Refuses an unknown mode, and a border wider than the image it is copied from.

    Raises:
        GeometryError: either of these.
    """
    if mode not in PADDING_MODES:
        raise GeometryError(8, f"padding mode {mode!r} is not known: use one of {', '.join(PADDING_MODES)}")
    if mode in ("zeros", "edge"):
        return
    for size, pair in zip(sizes, padding, strict=True):
        most = size - 1 if mode == "reflect" else size
        if max(pair) > most:
            raise GeometryError(
                9,
                f"{mode} padding of {max(pair)} on a side of {size} pixels has nothing to copy: use padding of at most "
                f"{most}, or mode zeros or edge",
            )


def pad(x: Num[Array, "n *sizes c"], padding: Pads, mode: str = "zeros", value: float = 0.0) -> Num[Array, "n *out c"]:
    """Pads the spatial dimensions of a batch of images.

    Args:
        x: images, [N, spatial..., C].
        padding: (lo, hi) per spatial dimension, none negative.
        mode: one of `PADDING_MODES`; see the module.
        value: what "zeros" fills with; pooling fills with minus infinity.

    Raises:
        GeometryError: unknown mode, or a border wider than the image.
    """
    check_padding_mode(mode, padding, x.shape[1:-1])
    if not any(map(any, padding)):
        return x
    widths = ((0, 0), *padding, (0, 0))
    if mode == "zeros":
        return lax.pad(x, jnp.asarray(value, x.dtype), [(lo, hi, 0) for lo, hi in widths])
    return jnp.pad(x, widths, mode=mode)
