"""From image files, folders of them and arrays to what a network takes, and from probabilities to a list."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnn_jax.data.decode import UnreadableImage, decode_image, fit_image, shown
from cnn_jax.data.folder import natural
from cnn_jax.errors import DataError

if TYPE_CHECKING:
    from cnn_jax.evaluate.run import Run

_ARRAY = ".npy"
_AT_ONCE = 256


class Found(NamedTuple):
    """One image to be read.

    Attributes:
        name: what it is called.
        file: where it is.
        number: which of the images of an array; None for an image file.
    """

    name: str
    file: Path
    number: int | None = None

    def read(self) -> np.ndarray:
        """The image, uint8 `[H, W, C]`, C = 1 or 3.

        Raises:
            DataError: it is broken or no image; it is named.
        """
        return decode_image(self.file) if self.number is None else _array(self.file)[self.number]


def find_images(names: Sequence[str]) -> list[Found]:
    """The images that files, folders and arrays hold, without reading them.

    A folder is searched to the bottom, in natural order; hidden files are left out, and all others must be images. An
    array is uint8 `[H, W]` or `[H, W, C]` for one image, `[N, H, W]` or `[N, H, W, C]` for several, C = 1 or 3.

    Args:
        names: paths of image files, of folders, and of `.npy` files.

    Raises:
        DataError: a path that is not there, a folder without images, or an array of another kind; it is named.
    """
    found: list[Found] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = [Path(root, file) for root, file in _walk(path)]
            if not inside:
                raise DataError(201, f"{shown(path)} holds no images: name a folder with image files in it")
            found += [one for file in inside for one in _in_file(file, str(file))]
        elif not path.exists():
            raise DataError(202, f"{shown(path)} does not exist: name image files, folders of them or .npy arrays")
        else:
            found += _in_file(path, name)
    return found


def batches(found: Sequence[Found], run: Run) -> Iterator[np.ndarray]:
    """The images as the run's network takes them, uint8 `[<= 256, H, W, C]`, one batch after another.

    Raises:
        DataError: see `as_network_takes`.
    """
    for start in range(0, len(found), _AT_ONCE):
        yield np.stack([as_network_takes(one.read(), run, one.name) for one in found[start : start + _AT_ONCE]])


def read_images(files: Sequence[Path], run: Run) -> np.ndarray:
    """Reads image files as the run's network takes them.

    Args:
        files: image files of any size.
        run: the run whose network is to see them.

    Returns:
        uint8 [len(files), H, W, C].

    Raises:
        DataError: a file is missing, broken, or not an image; it is named.
    """
    return np.stack([as_network_takes(decode_image(file), run, shown(file)) for file in files])


def as_network_takes(image: np.ndarray, run: Run, name: str) -> np.ndarray:
    """One image at the size and with the channels of the run's network.

    The channels are converted (grey to RGB by repetition, RGB to grey by luma). An image of another size is fitted as
    the run's config says, or resized with a centre crop when the run's own data needed no fitting.

    Args:
        image: uint8 [H, W, C], C = 1 or 3.
        run: the run whose network is to see it.
        name: for messages.

    Raises:
        DataError: the image does not come to the size; it is named.
    """
    height, width, channels = run.spec.image_shape
    fit = run.config.fit if run.config.fit != "none" else "resize"
    try:
        return fit_image(with_channels(image, channels), (height, width), fit)
    except UnreadableImage as reason:
        raise DataError(32, f"{name} {reason}") from None


def top_k(probabilities: np.ndarray, classes: Sequence[str], k: int = 5) -> list[list[dict[str, Any]]]:
    """The k likeliest classes of each image, best first, as `{"class", "label", "probability"}`.

    An output beyond the names, which a network may have, is called by its number.
    """
    best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :k]
    return [
        [{"class": class_name(classes, int(i)), "label": int(i), "probability": float(row[i])} for i in order]
        for row, order in zip(probabilities, best, strict=True)
    ]


def class_name(classes: Sequence[str], label: int) -> str:
    """The name of an output; a network may have more outputs than its data has classes."""
    return classes[label] if label < len(classes) else f"output {label}"


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images `[..., C]` with as many channels: grey repeated three times, RGB as its luma, uint8."""
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    # ITU-R 601 luma, what Pillow's mode L is.
    return np.round(images @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]


def _in_file(file: Path, name: str) -> list[Found]:
    if file.suffix.lower() != _ARRAY:
        return [Found(name, file)]
    return [Found(f"{name}[{i}]", file, i) for i in range(len(_array(file)))]


def _array(file: Path) -> np.ndarray:
    """The images of a `.npy` file, uint8 `[N, H, W, C]`, mapped and not read; nothing in the file is executed."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(203, f"{shown(file)} is no array of numbers: {reason}") from None
    form = f"{array.dtype}{list(array.shape)}"
    if array.ndim == 2:
        array = array[None, ..., None]
    elif array.ndim == 3:
        # The last of three sizes decides: one image with its channels, or several grey ones.
        array = array[None] if array.shape[-1] in (1, 3) else array[..., None]
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise DataError(
            204,
            f"{shown(file)} is {form}: give uint8 [H, W], [H, W, C], [N, H, W] or [N, H, W, C] with C = 1 or 3",
        )
    return array


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    for root, folders, files in os.walk(folder):
        folders[:] = natural(name for name in folders if not name.startswith("."))
        for file in natural(name for name in files if not name.startswith(".")):
            yield root, file
