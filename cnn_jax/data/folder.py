"""`folder:PATH`: images in one directory a class, with or without a train/test split.

Either `PATH/CLASS/FILE` or `PATH/{train,test,validation}/CLASS/FILE` (val and valid are read as validation; without
test, validation is the test split, as everybody does with ImageNet). Classes and files are in natural
order (2 before 10). Hidden files and what operating systems leave behind are ignored; every other file must be an
image. Where there is no test split, 20% of every class is held out by the sha256 of the path inside PATH: the choice
depends on no seed, and adding files moves no other file between the splits, save at the rounding.

A folder that takes more memory than it may stays on disk: its files are listed, read once to check and measure them
(`survey.py`), and from then on decoded when training asks for them (`lazy.py`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax.data.cache import cached
from cnn_jax.data.dataset import Source, Split
from cnn_jax.data.decode import DECODE_VERSION, fit_image, read_image, shown
from cnn_jax.data.decode_many import THREADS_FROM_BYTES, decode_many
from cnn_jax.data.lazy import decoded_bytes
from cnn_jax.data.survey import surveyed
from cnn_jax.errors import DataError

TEST_FRACTION = 0.2
_SPLITS = {"train": "train", "test": "test", "validation": "validation", "val": "validation", "valid": "validation"}
_JUNK = {"thumbs.db", "desktop.ini", "__macosx", "icon\r"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _File:
    """One image file: its path inside the folder, its class, and what betrays a change of its content."""

    path: str
    label: int
    stamp: tuple[int, int, int]


class FolderRecords:
    """The files of a folder, to be read one by one.

    Args:
        root: the folder.
        paths: of the files, inside it.
        size: `(height, width)` to bring the images to, None to keep theirs.
        fit: "none", "pad" or "resize", see `load_dataset`.
    """

    def __init__(self, root: Path, paths: list[str], size: tuple[int, int] | None, fit: str):
        self._root, self._paths, self._size, self._fit = root, paths, size, fit

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, index: int) -> np.ndarray:
        """One image, see `Records`."""
        image = read_image(os.path.join(self._root, self._paths[index]))
        return image if self._size is None else fit_image(image, self._size, self._fit)

    def name(self, index: int) -> str:
        """The file's path."""
        return shown(self._root / self._paths[index])


def open_folder(path: str, size: tuple[int, int] | None = None, fit: str = "none", memory: int | None = None) -> Source:
    """Reads an image folder, or its cached form if no file has changed since.

    Args:
        path: the folder; `~` is expanded.
        size: `(height, width)` to bring the images to, None to keep theirs.
        fit: "none", "pad" or "resize", see `load_dataset`.
        memory: bytes that the decoded images may take; None for any.

    Raises:
        DataError: a missing or empty folder, fewer than two classes, classes that differ between the splits, files
            that are no images, images of different sizes. The message names the folder or the file.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(1, f"{shown(root)} {what}: give a folder with one folder of images a class")
    classes, splits = _scan(root)
    # The change time cannot be set back, the modification time can: archives often unpack with one date for all.
    listing = {name: [(shown(f.path), f.label, *f.stamp) for f in files] for name, files in splits.items()}
    identity = {"source": "folder", "decode": DECODE_VERSION, "size": size, "fit": fit}
    identity |= {"root": shown(root.resolve()), "splits": listing}
    files = [file for part in splits.values() for file in part]
    records = FolderRecords(root, [file.path for file in files], size, fit)
    labels = np.array([file.label for file in files], np.int32)
    threads = sum(file.stamp[0] for file in files) > THREADS_FROM_BYTES * len(files)
    if memory is not None and decoded_bytes(records, size) > memory:
        parts, rule = _parts(classes, splits)
        images, digests = surveyed(identity, records, labels, parts, threads=threads)
        return Source(classes, {name: Split(images[at], labels[at]) for name, at in parts.items()}, digests, rule)

    def decode() -> Source:
        images = decode_many(shown(root), len(files), records.read, records.name, threads=threads)
        parts, rule = _parts(classes, splits)
        arrays = {name: Split(images[at], labels[at]) for name, at in parts.items()}
        return Source(classes, arrays, {name: split.digest() for name, split in arrays.items()}, rule)

    source = cached(identity, decode)
    named = np.array([shown(file.path) for file in files], object)
    return source._replace(names={name: named[at].tolist() for name, at in _parts(classes, splits)[0].items()})


def _parts(classes: tuple[str, ...], splits: dict[str, list[_File]]) -> tuple[dict[str, slice | np.ndarray], str]:
    """Which of all files, in order, make train, test and validation; and by what rule, if the folder does not say."""
    parts: dict[str, slice | np.ndarray] = {}
    start = 0
    for name, files in splits.items():
        parts[name] = slice(start, start + len(files))
        start += len(files)
    if "test" not in splits and "validation" in splits:
        parts["test"] = parts.pop("validation")
        return parts, "validation is test"
    if "test" not in splits:
        chosen = _held_out_test(splits["train"], classes)
        parts["train"], parts["test"] = np.flatnonzero(~chosen), np.flatnonzero(chosen)
        return parts, f"test held out by path, fraction {TEST_FRACTION}"
    return parts, ""


def _scan(root: Path) -> tuple[tuple[str, ...], dict[str, list[_File]]]:
    """Class names, and the files of every split; "train" alone if the folder has no split."""
    parts = {entry.name: entry.path for entry in _entries(root) if entry.is_dir()}
    # A folder called train that holds images and no folders is a class (beside, say, bus and car).
    if "train" not in parts or not any(entry.is_dir() for entry in _entries(parts["train"])):
        classes = natural(parts)
        if not classes:
            layouts = f"{shown(root)}/CLASS/IMAGE or {shown(root)}/train/CLASS/IMAGE"
            raise DataError(2, f"{shown(root)} holds no class folders: expected {layouts}")
        if "test" in parts and any(entry.is_dir() for entry in _entries(parts["test"])):
            raise DataError(2, f"{shown(root)} holds test/CLASS but no train/CLASS: add the folder train")
        return _shown_names(classes, root), {"train": _files(root, "", classes)}
    classes = natural(entry.name for entry in _entries(parts["train"]) if entry.is_dir())
    splits = {}
    for folder in natural(parts):
        name = _SPLITS.get(folder)
        if name is None:
            _log.warning("%s is ignored: split folders are %s", shown(root / folder), ", ".join(_SPLITS))
            continue
        if name in splits:
            raise DataError(
                2, f"{shown(root)} holds two folders for the {name} split: keep one of val, valid, validation"
            )
        found = natural(entry.name for entry in _entries(parts[folder]) if entry.is_dir())
        if found != classes:
            missing, extra = _few(set(classes) - set(found)), _few(set(found) - set(classes))
            differs = "; ".join([f"without {missing}"] * bool(missing) + [f"with {extra} besides"] * bool(extra))
            raise DataError(5, f"{shown(root / folder)} has other classes than train ({differs}): make them the same")
        splits[name] = _files(root, folder, classes)
    return _shown_names(classes, root), splits


def _files(root: Path, part: str, classes: list[str]) -> list[_File]:
    files = []
    for label, name in enumerate(classes):
        directory = os.path.join(part, name)
        found = {}
        for entry in _entries(root / directory):
            if entry.is_dir():
                raise DataError(
                    9, f"{shown(entry.path)} is a folder inside a class folder: move its images up, one level a class"
                )
            status = _status(entry)
            found[entry.name] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if not found:
            raise DataError(4, f"{shown(root / directory)} holds no images: add some, or remove the folder")
        files += [_File(os.path.join(directory, file), label, found[file]) for file in natural(found)]
    return files


def _held_out_test(files: list[_File], classes: tuple[str, ...]) -> np.ndarray:
    """bool `[N]`: the files with the smallest hashes of each class make the test split."""
    order = [hashlib.sha256(os.fsencode(file.path)).digest() for file in files]
    labels = np.array([file.label for file in files])
    chosen = np.zeros(len(files), bool)
    for label, name in enumerate(classes):
        members = sorted(np.flatnonzero(labels == label), key=order.__getitem__)
        if len(members) < 2:
            raise DataError(
                12, f"class {name} has one image: two are needed to hold one out for testing, or add train/ and test/"
            )
        chosen[members[: max(round(TEST_FRACTION * len(members)), 1)]] = True
    return chosen


def natural(names: Iterable[str]) -> list[str]:
    """Names in the order people expect: numbers inside them by value."""

    def key(name: str) -> tuple[list[tuple[int, int, str]], str]:
        # Every piece is (is text, number, text), so that numbers and text never meet in a comparison.
        return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", name) if p], name

    return sorted(names, key=key)


def _entries(directory: str | Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.lower() not in _JUNK:
                    yield entry
    except OSError as error:
        raise DataError(1, f"{shown(directory)} cannot be read: {error.strerror}") from None


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError as error:
        raise DataError(6, f"{shown(entry.path)} cannot be opened ({error.strerror}): replace or remove it") from None


def _shown_names(classes: list[str], root: Path) -> tuple[str, ...]:
    if len(classes) == 1:
        raise DataError(3, f"{shown(root)} holds one class only ({shown(classes[0])}): classifying needs at least two")
    return tuple(shown(name) for name in classes)


def _few(names: set[str]) -> str:
    listed = [shown(name) for name in natural(names)]
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
