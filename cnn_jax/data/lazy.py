"""Images that stay in their files until somebody asks for them: what a data set beyond memory is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from cnn_jax.data.decode import UnreadableImage
from cnn_jax.errors import DataError


class Records(Protocol):
    """Where images are read from. Travels to the processes that read, so it holds names and no open files."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def read(self, index: int) -> np.ndarray:
        """One image, uint8 `[H, W, C]`, C = 1 or 3.

        Raises:
            UnreadableImage: the reason.
        """
        ...

    def name(self, index: int) -> str:
        """The image's name in messages."""
        ...


class Moments(NamedTuple):
    """Whole sums over the pixels of images, from which statistics follow without rounding.

    Attributes:
        pixels: how many pixels.
        total: int64 `[C]`, the sum of their bytes.
        products: int64 `[C, C]`, the sum of the products of two channels' bytes.
    """

    pixels: int
    total: np.ndarray
    products: np.ndarray


class LazyImages:
    """Stands where an array uint8 `[N, H, W, C]` would stand, and reads an image when it is asked for.

    `images[3]` is one decoded image, an array; `images[array]` and `images[slice]` are lazy again, and
    `np.asarray(images)` reads them all.

    Args:
        records: where the images are.
        shape: `(H, W, C)` of every image; a grey image among coloured ones gets three equal channels.
        moments: int64 `[len(records), C + C * C]`, of every image the sums that `Moments` names, products flat.
        index: int64 `[N]`, which of the records these are; by default all, in order.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        records: Records,
        shape: tuple[int, int, int],
        moments: np.ndarray,
        index: np.ndarray | None = None,
    ):
        self._records, self._shape, self._moments = records, shape, moments
        self._index = np.arange(len(records)) if index is None else index

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(N, H, W, C)`."""
        return len(self._index), *self._shape

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, at: int | slice | np.ndarray | Sequence[int]) -> np.ndarray | LazyImages:
        if isinstance(at, int | np.integer):
            return self.read(int(at))
        return LazyImages(self._records, self._shape, self._moments, self._index[at])

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.read, range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.stack(list(self)).astype(dtype or np.uint8, copy=False)

    def read(self, position: int) -> np.ndarray:
        """One image, uint8 `[H, W, C]`.

        Raises:
            DataError: it cannot be read any more, or has become another one; the file is named.
        """
        record = int(self._index[position])
        try:
            image = self._records.read(record)
        except UnreadableImage as reason:
            raise DataError(140, f"{self._records.name(record)} {reason}; restore it") from None
        if image.shape[:2] != self._shape[:2] or image.shape[2] > self._shape[2]:
            found, wanted = ("x".join(map(str, shape)) for shape in (image.shape, self._shape))
            raise DataError(
                140, f"{self._records.name(record)} is {found} now and was {wanted} when training began: restore it"
            )
        return np.broadcast_to(image, self._shape)

    def name(self, position: int) -> str:
        """The image's name in messages."""
        return self._records.name(int(self._index[position]))

    def moments(self) -> Moments:
        """The sums over all pixels of these images."""
        height, width, channels = self._shape
        sums = self._moments[self._index].sum(axis=0)
        pixels = len(self._index) * height * width
        return Moments(pixels, sums[:channels], sums[channels:].reshape(channels, channels))

    def without_moments(self) -> LazyImages:
        """The same images for another process, which has no use for the sums."""
        return LazyImages(self._records, self._shape, np.zeros((0, 0), np.int64), self._index)


def decoded_bytes(records: Records, size: tuple[int, int] | None) -> int:
    """About how many bytes the images take when decoded: as many as if all were like the first.

    Args:
        records: the images.
        size: `(height, width)` that they are brought to, or None.
    """
    try:
        first = records.read(0)
    except UnreadableImage:
        return 0 if size is None else len(records) * size[0] * size[1] * 3  # whoever reads all of them names it
    return len(records) * first.size


def moments_of(image: np.ndarray) -> np.ndarray:
    """The sums that `Moments` names over uint8 `[H, W, C]`: int64 `[C + C * C]`."""
    pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
    # Whole numbers below 2^53: exact in float64, whose matrix product is the fast one.
    return np.concatenate([pixels.sum(axis=0), (pixels.T @ pixels).reshape(-1)]).astype(np.int64)
