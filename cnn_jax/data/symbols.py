"""Ten symbols of 3x3 squares under noise, at places of one's choice: arrays that a small network learns in seconds.

For lectures and first steps. Where a symbol stands is all that varies besides the noise, so that what a network makes
of a place, or of a move, can be seen by itself; `shapes` is the set that networks are compared on.
"""

from __future__ import annotations

import numpy as np

from cnn_jax.data.dataset import Dataset, Split
from cnn_jax.errors import ConfigError

PATTERNS: dict[str, tuple[str, str, str]] = {
    "plus": (" # ", "###", " # "),
    "cross": ("# #", " # ", "# #"),
    "tee": ("###", " # ", " # "),
    "ell": ("#  ", "#  ", "###"),
    "cup": ("# #", "# #", "###"),
    "ring": ("###", "# #", "###"),
    "bars": ("###", "   ", "###"),
    "pillars": ("# #", "# #", "# #"),
    "stairs": ("#  ", "## ", "###"),
    "zed": ("## ", " # ", " ##"),
}
CLASSES = tuple(PATTERNS)
SQUARE = 3
"""Pixels along a side of a square; a symbol has three squares along a side."""
_PAPER, _INK, _NOISE = 70, 100, 15  # grey levels: the background, what a square adds to it, standard deviation


def symbols(
    count: int,
    *,
    seed: int,
    size: int = 32,
    rows: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
) -> Split:
    """Pictures with one symbol each.

    Args:
        count: how many.
        seed: another seed gives others.
        size: height and width in pixels.
        rows: first and last place of the symbol's top pixel, both included; None for all where it fits.
        columns: the same of its left pixel.

    Returns:
        uint8 [count, size, size, 1], and labels int32 [count], numbers in `CLASSES`.

    Raises:
        ConfigError: a place at which the symbol would leave the picture.
    """
    last = size - 3 * SQUARE
    ranges = np.array([rows or (0, last), columns or (0, last)])
    if ranges.min() < 0 or ranges.max() > last or (ranges[:, 0] > ranges[:, 1]).any():
        raise ConfigError(
            66, f"symbols at rows {rows} and columns {columns} of {size} pixels: use first <= last, from 0 to {last}"
        )
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(CLASSES), count).astype(np.int32)
    places = rng.integers(ranges[:, 0], ranges[:, 1] + 1, (count, 2))
    image = rng.normal(_PAPER, _NOISE, (count, size, size))
    squares = np.array([[[mark == "#" for mark in line] for line in lines] for lines in PATTERNS.values()])
    drawn = _INK * squares.repeat(SQUARE, axis=1).repeat(SQUARE, axis=2)
    for one, symbol, (row, column) in zip(image, drawn[label], places, strict=True):
        one[row : row + 3 * SQUARE, column : column + 3 * SQUARE] += symbol
    return Split(np.clip(np.round(image), 0, 255).astype(np.uint8)[..., None], label)


def symbols_dataset(train: Split, validation: Split, test: Split | None = None) -> Dataset:
    """Splits of symbols as a data set, to be handed to `cnn_jax.train`."""
    splits = {"train": train, "validation": validation} | ({} if test is None else {"test": test})
    fingerprint = "-".join(split.digest()[:16] for split in splits.values())
    return Dataset("symbols", CLASSES, splits, fingerprint)
