"""Pictures for the page: pixels and maps as PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from cnn_jax.inspect.picture import HEAT, enlarged


def png(image: np.ndarray) -> bytes:
    """An image as a PNG file: uint8 [H, W, C], C = 1 or 3."""
    held = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(held, "PNG")
    return held.getvalue()


def inline(image: np.ndarray) -> str:
    """An image as an address that holds it: uint8 [H, W, C]."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def heat(weights: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map in colours at the size of its image, from zero to its largest value: [h, w] to uint8 [*size, 3].

    What `inspect.picture.show_over` lays over an image, for a page that does the laying.
    """
    from matplotlib import colormaps

    large = enlarged(weights[None], size)[0]
    return colormaps[HEAT](large / max(float(large.max()), 1e-12), bytes=True)[..., :3]
