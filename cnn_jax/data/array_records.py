"""Prepared TFDS data sets record by record: of each only the image and the label are decoded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.decode import UnreadableImage, fit_image, read_image
from cnn_jax.errors import DataError


class ArrayRecords:
    """The examples of some splits of a prepared TFDS data set, one split after another.

    Args:
        name: the data set, for messages.
        directory: where it is prepared, as ArrayRecord.
        splits: names of the splits and how many examples each has.
        keys: the names of the image and of the label among the features.
        size: `(height, width)` to bring the images to, None to keep theirs.
        fit: "none", "pad" or "resize", see `load_dataset`.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        splits: dict[str, int],
        keys: tuple[str, str],
        size: tuple[int, int] | None,
        fit: str,
    ):
        self._name, self._directory, self._splits, self._keys = name, directory, splits, keys
        self._size, self._fit = size, fit
        self._opened: tuple[Any, dict[str, Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}  # open files stay with their process

    def __len__(self) -> int:
        return sum(self._splits.values())

    def read(self, index: int) -> np.ndarray:
        """One image, see `Records`."""
        return self.example(index)[0]

    def example(self, index: int) -> tuple[np.ndarray, int]:
        """One image and its label.

        Raises:
            UnreadableImage: the reason.
        """
        image_key, label_key = self._keys
        found = self._features(index)
        image = read_image(io.BytesIO(found[image_key]))
        return image if self._size is None else fit_image(image, self._size, self._fit), int(found[label_key])

    def name(self, index: int) -> str:
        """The example's split and place in it."""
        split, place = self._at(index)
        return f"{self._name} {split} example {place}"

    def labels(self) -> np.ndarray:
        """int32 `[N]`, from one pass that decodes no image.

        Raises:
            DataError: a record that cannot be read.
        """
        found = np.empty(len(self), np.int32)
        for index in range(len(self)):
            try:
                found[index] = self._features(index)[self._keys[1]]
            except UnreadableImage as reason:
                raise DataError(6, f"{self.name(index)} {reason}; prepare the data set again") from None
        return found

    def _features(self, index: int) -> dict[str, Any]:
        try:
            wanted, sources = self._opened or self._open()
            split, place = self._at(index)
            return wanted.deserialize_example_np(sources[split][place], decoders=self._decoders)
        except Exception as error:
            # TFDS and ArrayRecord raise whatever a damaged file provokes.
            text = " ".join(str(error).split())[:200] or type(error).__name__
            raise UnreadableImage(f"cannot be read ({text})") from error

    def _open(self) -> tuple[Any, dict[str, Any]]:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core import read_only_builder

        builder: Any = read_only_builder.builder_from_directory(self._directory)
        features = builder.info.features
        wanted = tfds.features.FeaturesDict({key: features[key] for key in self._keys})
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        sources = {split: builder.as_data_source(split=split, deserialize_method=raw) for split in self._splits}
        self._decoders = {self._keys[0]: tfds.decode.SkipDecoding()}
        self._opened = wanted, sources
        return self._opened

    def _at(self, index: int) -> tuple[str, int]:
        for split, count in self._splits.items():
            if index < count:
                return split, index
            index -= count
        raise IndexError(index)
