"""Many images to one array: in parallel where it pays, with a progress bar, naming every fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cnn_jax.data.decode import UnreadableImage, quiet_pillow
from cnn_jax.errors import DataError

_NAMED = 3
_CHUNK = 64
# Pillow frees the interpreter lock inside a decoder only. Below this size the time goes into Python, and two threads
# are slower than one (measured on 60,000 PNGs of 300 bytes: 2.2 s alone, 3.4 s with two threads).
THREADS_FROM_BYTES = 16 * 1024


def decode_many(
    where: str, count: int, read: Callable[[int], np.ndarray], name: Callable[[int], str], *, threads: bool
) -> np.ndarray:
    """Collects images of one size into one array.

    Args:
        where: the data set, for messages.
        count: how many images; at least one.
        read: index -> uint8 `[H, W, C]`, C = 1 or 3; raises `UnreadableImage` with a reason.
        name: index -> the image's name in messages.
        threads: whether to read on all cores.

    Returns:
        uint8 `[N, H, W, C]` in the order of the indices; C is 1 if every image is grey, else 3.

    Raises:
        DataError: images that cannot be read (the first ones named, all counted), images of different sizes (two
            named), more pixels than the machine has memory.
    """
    images = np.empty((0, 0, 0, 0), np.uint8)
    for index, image in each_image(count, read, name, threads=threads):
        if index == 0:
            images = _allocate(where, count, image.shape)
        if image.shape[2] > images.shape[3]:
            grey, images = images, _allocate(where, count, image.shape)
            images[:index] = grey[:index]
        images[index] = image
    return images


def each_image(
    count: int, read: Callable[[int], np.ndarray], name: Callable[[int], str], *, threads: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Reads images of one size in turn, with a progress bar; after the first fault only faults are looked for.

    Args:
        count: how many images.
        read: index -> image, as in `decode_many`.
        name: index -> the image's name in messages.
        threads: whether to read on all cores.

    Yields:
        Each index with its image, uint8 `[H, W, C]`, C = 1 or 3.

    Raises:
        DataError: at the end, images that cannot be read (the first ones named, all counted); at once, images of
            different sizes (two named).
    """
    first: tuple[int, tuple[int, ...]] | None = None
    broken = []
    with quiet_pillow():
        for index, image in enumerate(_with_progress(_results(count, read, threads), count)):
            if isinstance(image, UnreadableImage):
                broken.append(f"{name(index)} {image}")
                continue
            size = image.shape[:2]
            first = first or (index, size)
            if size != first[1]:
                pair = first, (index, size)
                sizes = ", ".join(f"{name(i)} is {width}x{height}" for i, (height, width) in pair)
                remedy = "set --config.image_size=32 (or your size) --config.fit=resize"
                raise DataError(7, f"images differ in size: {sizes}; {remedy}")
            if not broken:
                yield index, image
    if broken:
        more = f"; and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        total = f"{len(broken)} of {count} images cannot be used"
        raise DataError(6, f"{total}: {'; '.join(broken[:_NAMED])}{more}; replace or remove them")


def _results(count: int, read: Callable[[int], np.ndarray], threads: bool) -> Iterator[np.ndarray | UnreadableImage]:
    def result(index: int) -> np.ndarray | UnreadableImage:
        try:
            return read(index)
        except UnreadableImage as reason:
            return reason

    if not threads:
        yield from map(result, range(count))
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Chunk by chunk, so that decoded images do not pile up before they are copied into the array.
        for start in range(0, count, _CHUNK):
            yield from pool.map(result, range(start, min(start + _CHUNK, count)))


def _allocate(where: str, count: int, shape: tuple[int, ...]) -> np.ndarray:
    needed = count * int(np.prod(shape))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * memory:
        raise DataError(
            14,
            f"{where}: {count} images of {shape[1]}x{shape[0]} need {needed / 2**30:.1f} GiB of the "
            f"{memory / 2**30:.1f} here: set a smaller --config.image_size with --config.fit=resize",
        )
    return np.empty((count, *shape), np.uint8)


def _with_progress(items: Iterator[np.ndarray | UnreadableImage], total: int) -> Iterator[np.ndarray | UnreadableImage]:
    """Shows a bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, "decoding images", total, console=Console(stderr=True), transient=True)
