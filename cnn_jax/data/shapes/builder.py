"""The TFDS builder `shapes`: `render` written as ArrayRecord, without TensorFlow. Imports TFDS: import it late."""

from __future__ import annotations

import collections
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cnn_jax.data.shapes.example import render
from cnn_jax.data.shapes.outline import CLASSES

_CHUNK = 128

Progress = Callable[[int], None]


@dataclass(kw_only=True)
class ShapesConfig(tfds.core.BuilderConfig):
    """A size, the numbers of examples, and whether each has a second frame."""

    size: int = 32
    train: int = 20_000
    test: int = 4_000
    pairs: bool = False


class Shapes(tfds.core.GeneratorBasedBuilder):
    """Ten classes of textured shapes in cluttered scenes."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release; the images are frozen."}  # noqa: RUF012 (TFDS declares it so)
    BUILDER_CONFIGS = [  # noqa: RUF012
        ShapesConfig(name="32", description="32 x 32: the set that networks are compared on."),
        ShapesConfig(name="64", description="The same scenes at 64 x 64.", size=64),
        ShapesConfig(name="tiny", description="The first scenes of `32`, for tests.", train=2_000, test=500),
        ShapesConfig(name="32-pairs", description="`32` with a second frame and optical flow.", pairs=True),
        ShapesConfig(name="64-pairs", description="`64` with a second frame and optical flow.", size=64, pairs=True),
    ]
    # Set by `prepare`: told how many more examples are done.
    progress: Progress | None = None

    def _info(self) -> tfds.core.DatasetInfo:
        config = self._config()
        frame = (config.size, config.size)
        features: dict[str, Any] = {
            "image": tfds.features.Image(shape=(*frame, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=list(CLASSES)),
            "mask": tfds.features.Image(shape=(*frame, 1), encoding_format="png", use_colormap=True),
            "instance": tfds.features.Image(shape=(*frame, 1), encoding_format="png", use_colormap=True),
            "boxes": tfds.features.Sequence(
                {"bbox": tfds.features.BBoxFeature(), "label": tfds.features.ClassLabel(names=list(CLASSES))}
            ),
            # TFDS cannot read 16-bit PNG without OpenCV or TensorFlow.
            "depth": tfds.features.Tensor(shape=frame, dtype=np.uint16, encoding="zlib"),
            "index": tfds.features.Scalar(dtype=np.int64),
        }
        if config.pairs:
            features |= {
                "image2": tfds.features.Image(shape=(*frame, 3), encoding_format="png"),
                "flow": tfds.features.Tensor(shape=(*frame, 2), dtype=np.float32, encoding="zlib"),
                "visible": tfds.features.Image(shape=(*frame, 1), encoding_format="png", use_colormap=True),
            }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Procedural images of ten classes of textured shapes under random position, scale, rotation, "
            "colour, texture and light, with clutter and occluders; with segmentation, boxes, depth and optical flow.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # records in the order of their index
        )

    def _config(self) -> ShapesConfig:
        config = self.builder_config
        assert isinstance(config, ShapesConfig)
        return config

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager
        config = self._config()
        return {
            "train": self._generate_examples("train", config.train),
            "test": self._generate_examples("test", config.test),
        }

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self._config()
        # Threads, not processes: rendering and compressing free the interpreter lock, and a program that prepares data
        # at its top level, or has JAX running, can neither spawn nor fork safely. The queue bounds the memory.
        workers = os.cpu_count() or 1
        queue: collections.deque[Future[list[dict[str, Any]]]] = collections.deque()
        with ThreadPoolExecutor(workers) as pool:
            starts = iter(range(0, count, _CHUNK))
            while True:
                while len(queue) < 2 * workers and (start := next(starts, None)) is not None:
                    queue.append(pool.submit(_encoded, split, range(start, min(start + _CHUNK, count)), config))
                if not queue:
                    return
                examples = queue.popleft().result()
                for example in examples:
                    yield example["index"], example
                if self.progress is not None:
                    self.progress(len(examples))


def _encoded(split: str, indices: range, config: ShapesConfig) -> list[dict[str, Any]]:
    """Examples as the features take them, images compressed."""
    batch = render(indices, split=split, size=config.size, pairs=config.pairs)
    pictures = [name for name in ("image", "image2", "mask", "instance", "visible") if name in batch]
    examples = []
    for row, index in enumerate(indices):
        example: dict[str, Any] = {name: _png(batch[name][row]) for name in pictures}
        there = batch["box_label"][row] >= 0
        boxes = zip(batch["boxes"][row][there], batch["box_label"][row][there], strict=True)
        example |= {
            "label": int(batch["label"][row]),
            "boxes": [{"bbox": tfds.features.BBox(*box.tolist()), "label": int(label)} for box, label in boxes],
            "depth": batch["depth"][row],
            "index": index,
        }
        if config.pairs:
            example["flow"] = batch["flow"][row]
        examples.append(example)
    return examples


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return file.getvalue()
