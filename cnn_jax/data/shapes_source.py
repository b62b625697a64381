"""`shapes[:CONFIG]`: the embedded data set as a source; `shapes` alone is the 32x32 config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data import shapes
from cnn_jax.data.array_records import ArrayRecords
from cnn_jax.data.cache import cached
from cnn_jax.data.dataset import Source, Split
from cnn_jax.data.decode import DECODE_VERSION, UnreadableImage, fit_image
from cnn_jax.data.lazy import decoded_bytes
from cnn_jax.data.survey import surveyed
from cnn_jax.errors import ConfigError, DataError


def open_shapes(
    config: str = "", size: tuple[int, int] | None = None, fit: str = "none", memory: int | None = None
) -> Source:
    """Reads a config of `shapes`, made and kept if it is not there yet.

    Args:
        config: one of `shapes.CONFIGS`; "" is "32".
        size: `(height, width)` to bring the images to, None to keep theirs.
        fit: "none", "pad" or "resize", see `load_dataset`.
        memory: bytes that the decoded images may take; None for any.

    Raises:
        ConfigError: no such config.
        DataError: images that do not come to `size`, or a directory that cannot be written.
    """
    config = config or "32"
    if config not in shapes.CONFIGS:
        raise ConfigError(60, f"shapes has no config {config!r}; legal are {', '.join(shapes.CONFIGS)}")
    identity = {"source": "shapes", "version": shapes.VERSION, "config": config}
    identity |= {"decode": DECODE_VERSION, "size": size, "fit": fit}
    if memory is not None:
        builder = shapes.prepare(config)
        sizes = {split: builder.info.splits[split].num_examples for split in ("train", "test")}
        records = ArrayRecords(f"shapes:{config}", Path(builder.data_dir), sizes, ("image", "label"), size, fit)
        if decoded_bytes(records, size) > memory:
            return _left_in_files(identity, records, sizes)
    return cached(identity, lambda: _make(config, size, fit))


def _left_in_files(identity: dict[str, Any], records: ArrayRecords, sizes: dict[str, int]) -> Source:
    labels = records.labels()
    parts = {"train": slice(0, sizes["train"]), "test": slice(sizes["train"], None)}
    images, digests = surveyed(identity, records, labels, parts, threads=False)
    splits = {name: Split(images[at], labels[at]) for name, at in parts.items()}
    return Source(tuple(shapes.CLASSES), splits, digests)


def _make(config: str, size: tuple[int, int] | None, fit: str) -> Source:
    splits = {}
    for name, arrays in shapes.load(config).items():
        images = arrays["image"]
        if size is not None and images.shape[1:3] != size:
            try:
                images = np.stack([fit_image(image, size, fit) for image in images])
            except UnreadableImage as reason:
                raise DataError(8, f"shapes:{config} {name} example 0 {reason}") from None
        splits[name] = Split(images, arrays["label"])
    return Source(tuple(shapes.CLASSES), splits, {name: split.digest() for name, split in splits.items()})
