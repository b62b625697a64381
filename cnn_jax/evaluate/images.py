"""From image files to predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.decode import UnreadableImage, decode_image, fit_image, shown
from cnn_jax.errors import DataError
from cnn_jax.evaluate.run import Run


def read_images(files: Sequence[Path], run: Run) -> np.ndarray:
    """Reads images as the run's network takes them.

    The channels are converted (grey to RGB by repetition, RGB to grey by luma). An image of another size is fitted as
    the run's config says, or resized with a centre crop when the run's own data needed no fitting.

    Args:
        files: image files of any size.
        run: the run whose network is to see them.

    Returns:
        uint8 [len(files), H, W, C].

    Raises:
        DataError: a file is missing, broken, or not an image; it is named.
    """
    height, width, channels = run.spec.image_shape
    fit = run.config.fit if run.config.fit != "none" else "resize"
    images = []
    for file in files:
        image = _with_channels(decode_image(file), channels)
        try:
            images.append(fit_image(image, (height, width), fit))
        except UnreadableImage as reason:
            raise DataError(32, f"{shown(file)} {reason}") from None
    return np.stack(images)


def top_k(probabilities: np.ndarray, classes: Sequence[str], k: int = 5) -> list[list[dict[str, Any]]]:
    """The k likeliest classes of each image, best first, as `{"class", "label", "probability"}`."""
    best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :k]
    return [
        [{"class": classes[i], "label": int(i), "probability": float(row[i])} for i in order]
        for row, order in zip(probabilities, best, strict=True)
    ]


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    # ITU-R 601 luma, what Pillow's mode L is.
    return np.round(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
