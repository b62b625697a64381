"""One image file to one uint8 array, or one clear reason why not.

The content decides, not the name's ending (ImageNet itself holds a PNG named .JPEG). EXIF orientation is not applied,
as in torchvision and TensorFlow. Only the first row of this table needs no thought:

| in the file | becomes |
|---|---|
| 8-bit grey, RGB | itself, 1 or 3 channels |
| 1-bit | grey, 0 or 255 |
| 16-bit grey | grey, scaled by 255/65535 and rounded (a plain conversion would saturate) |
| palette | RGB |
| alpha or a transparent colour | composited on white, grey stays grey |
| CMYK, YCbCr | RGB |
| 32-bit integers or floats, several frames, over 64 megapixels | refused |
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from cnn_jax.errors import DataError

# Raise it when a file would decode to other pixels than before: cached data sets of older versions are rebuilt.
DECODE_VERSION = 1
# Pillow's other formats are not wanted from untrusted files (EPS starts Ghostscript).
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 2**26
_ANIMATED = ("PNG", "GIF", "WEBP", "TIFF")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


class UnreadableImage(Exception):
    """Why a file is not a usable image; the message continues "PATH ..."."""


def decode_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads one image file.

    Args:
        path: the file; its content decides the format.

    Returns:
        uint8 `[H, W, C]`, C = 1 for grey images and 3 for all others.

    Raises:
        DataError: naming the file, the reason and what to do.
    """
    try:
        with quiet_pillow():
            return read_image(os.fspath(path))
    except UnreadableImage as reason:
        raise DataError(19, f"{shown(path)} {reason}; replace the file") from None


def read_image(file: str | BinaryIO, max_pixels: int | None = None) -> np.ndarray:
    """`decode_image` for callers that collect reasons; run it inside `quiet_pillow`.

    Args:
        file: the file, or its content.
        max_pixels: more are refused before they are decoded; None for `MAX_PIXELS`.

    Raises:
        UnreadableImage: the reason.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImage(_too_large(f"{image.width}x{image.height} pixels", max_pixels))
            if image.format in _ANIMATED and getattr(image, "is_animated", False):
                raise UnreadableImage(f"holds {getattr(image, 'n_frames', 'several')} frames, not one image")
            image.load()
            return _pixels(image)
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(_not_an_image(file)) from None
    except Image.DecompressionBombError:
        raise UnreadableImage(_too_large("far more pixels", max_pixels)) from None
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UnreadableImage(f"cannot be opened ({error.strerror})") from None
    except Exception as error:
        # Pillow's decoders raise whatever a broken file provokes: OSError, SyntaxError, ValueError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImage(f"is broken or truncated ({reason})") from None


def fit_image(image: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Brings one image to `size`.

    Args:
        image: uint8 `[H, W, C]`, C = 1 or 3.
        size: `(height, width)` in pixels.
        fit: "none", "pad" or "resize", see `load_dataset`.

    Raises:
        UnreadableImage: under "none" another size, under "pad" an image larger than `size`.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    if fit == "none":
        raise UnreadableImage(
            f"is {width}x{height} pixels, not {size[1]}x{size[0]}: add --config.fit=resize, or --config.fit=pad"
        )
    if fit == "pad":
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        if top < 0 or left < 0:
            raise UnreadableImage(
                f"is {width}x{height} pixels, too large to be padded to {size[1]}x{size[0]}: use --config.fit=resize"
            )
        return np.pad(image, ((top, size[0] - height - top), (left, size[1] - width - left), (0, 0)))
    scale = max(size[0] / height, size[1] / width)
    inner = (max(size[1], round(width * scale)), max(size[0], round(height * scale)))
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    # Pillow widens the triangle filter when it shrinks, so that this is an area average and does not alias.
    resized = np.asarray(picture.resize(inner, Image.Resampling.BILINEAR))
    resized = resized.reshape(*resized.shape[:2], image.shape[-1])
    top, left = (inner[1] - size[0]) // 2, (inner[0] - size[1]) // 2
    return resized[top : top + size[0], left : left + size[1]]


def shown(path: str | bytes | os.PathLike[str]) -> str:
    """A path as one printable line, whatever bytes the file system holds."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silences Pillow's warnings about odd files: what cannot be used is refused here, the rest is of no interest.

    Warning filters belong to the process, so a pool of threads is wrapped once, from outside.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pixels(image: Image.Image) -> np.ndarray:
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in _SIXTEEN_BIT or (image.mode == "I" and image.format in ("PNG", "PPM")):
        wide = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        return ((wide * 255 + 32767) // 65535).astype(np.uint8)[..., None]
    if image.mode in ("I", "F"):
        raise UnreadableImage("has 32-bit pixels, whose range is unknown: store 8 or 16 bits")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    wanted = "L" if grey else "RGB"
    pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return pixels[..., None] if grey else pixels


def _not_an_image(file: str | BinaryIO) -> str:
    if (os.path.getsize(file) if isinstance(file, str) else file.seek(0, os.SEEK_END)) == 0:
        return "is empty (0 bytes)"
    return f"is not an image, whatever its name says (known are {', '.join(FORMATS)})"


def _too_large(size: str, max_pixels: int) -> str:
    return f"is too large ({size}, allowed are {max_pixels // 2**20} megapixels)"
