"""Many image files to one array: in parallel where it pays, with a progress bar, naming every fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnn_jax.data.decode import UnreadableImage, fit_image, quiet_pillow, read_image, shown
from cnn_jax.errors import DataError

_NAMED = 3
_CHUNK = 64
# Pillow frees the interpreter lock inside a decoder only. Below this size the time goes into Python, and two threads
# are slower than one (measured on 60,000 PNGs of 300 bytes: 2.2 s alone, 3.4 s with two threads).
_THREADS_FROM_BYTES = 16 * 1024


def decode_many(root: Path, paths: list[str], size: tuple[int, int] | None, fit: str) -> np.ndarray:
    """Decodes files of one size, or brings them to one.

    Args:
        root: the folder the paths start from.
        paths: at least one file.
        size: `(height, width)` to bring the images to; None if all files have one size.
        fit: "none", "pad" or "resize", see `load_dataset`.

    Returns:
        uint8 `[N, H, W, C]` in the order of `paths`; C is 1 if every image is grey, else 3.

    Raises:
        DataError: files that are no images (the first ones named, all counted), images of different sizes (two
            named), more pixels than the machine has memory.
    """
    images = np.empty((0, 0, 0, 0), np.uint8)
    first, broken = "", []
    with quiet_pillow():
        for index, (path, image) in enumerate(_with_progress(_decoded(root, paths, size, fit), len(paths))):
            if isinstance(image, UnreadableImage):
                broken.append(f"{shown(root / path)} {image}")
                continue
            if not first:
                first, images = path, _allocate(root, len(paths), image.shape)
            if image.shape[:2] != images.shape[1:3]:
                raise DataError(7, _sizes_differ(root, (first, path), (images.shape[1:3], image.shape[:2])))
            if image.shape[2] > images.shape[3]:
                grey, images = images, _allocate(root, len(paths), image.shape)
                images[:index] = grey[:index]
            images[index] = image
    if broken:
        more = f"; and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        count = f"{len(broken)} of {len(paths)} images cannot be used"
        raise DataError(6, f"{count}: {'; '.join(broken[:_NAMED])}{more}; replace or remove them")
    return images


def _decoded(
    root: Path, paths: list[str], size: tuple[int, int] | None, fit: str
) -> Iterator[tuple[str, np.ndarray | UnreadableImage]]:
    def decode(path: str) -> tuple[str, np.ndarray | UnreadableImage]:
        try:
            image = read_image(os.path.join(root, path))
            return path, image if size is None else fit_image(image, size, fit)
        except UnreadableImage as reason:
            return path, reason

    sample = paths[:: max(1, len(paths) // 64)]
    if sum(os.path.getsize(os.path.join(root, path)) for path in sample) < _THREADS_FROM_BYTES * len(sample):
        yield from map(decode, paths)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Chunk by chunk, so that decoded images do not pile up before they are copied into the array.
        for start in range(0, len(paths), _CHUNK):
            yield from pool.map(decode, paths[start : start + _CHUNK])


def _allocate(root: Path, count: int, shape: tuple[int, ...]) -> np.ndarray:
    needed = count * int(np.prod(shape))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * memory:
        raise DataError(
            14,
            f"{shown(root)}: {count} images of {shape[1]}x{shape[0]} need {needed / 2**30:.1f} GiB of the "
            f"{memory / 2**30:.1f} here: set a smaller --config.image_size with --config.fit=resize",
        )
    return np.empty((count, *shape), np.uint8)


def _sizes_differ(root: Path, paths: tuple[str, str], shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    files = [f"{shown(root / path)} is {w}x{h}" for path, (h, w) in zip(paths, shapes, strict=True)]
    return (
        f"images differ in size: {files[0]}, {files[1]}; set --config.image_size=32 --config.fit=resize (or your size)"
    )


def _with_progress(items: Iterator[tuple[str, np.ndarray | UnreadableImage]], total: int):
    """Shows a bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, "decoding images", total, console=Console(stderr=True), transient=True)
