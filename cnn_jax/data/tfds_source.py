"""`tfds:NAME[/CONFIG][:VERSION]`: what TensorFlow Datasets has prepared, or can prepare without TensorFlow.

Prepared data is looked for under `TFDS_DATA_DIR` (default `~/tensorflow_datasets`) and read with random access, so it
must be stored as ArrayRecord. What is not prepared is prepared here only if nothing has to be downloaded: by the
user's own builder, or when the files lie in `TFDS_DATA_DIR/downloads/manual/NAME`: mnist, fashion_mnist, kmnist and
cifar10 without TensorFlow, others if their own builder needs none. A training command downloads nothing.

Splits are train, test and validation; others are left out. A split without labels (all -1) counts as missing. Without
test, validation is the test split (as everybody does with ImageNet); without both, 20% of train are held out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.array_records import ArrayRecords
from cnn_jax.data.cache import cached
from cnn_jax.data.dataset import SPLIT_NAMES, Source, Split, held_out
from cnn_jax.data.decode import DECODE_VERSION, shown
from cnn_jax.data.decode_many import THREADS_FROM_BYTES, decode_many
from cnn_jax.data.lazy import decoded_bytes
from cnn_jax.data.survey import surveyed
from cnn_jax.errors import DataError

TEST_FRACTION = 0.2
_log = logging.getLogger(__name__)


def data_directory() -> Path:
    """Where TFDS keeps prepared data; the environment variable `TFDS_DATA_DIR` moves it."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def open_tfds(name: str, size: tuple[int, int] | None = None, fit: str = "none", memory: int | None = None) -> Source:
    """Reads a TFDS data set with one image and one class label an example, or its cached form.

    Args:
        name: `NAME`, `NAME/CONFIG`, either with `:VERSION`.
        size: `(height, width)` to bring the images to, None to keep theirs.
        fit: "none", "pad" or "resize", see `load_dataset`.
        memory: bytes that the decoded images may take; None for any.

    Raises:
        DataError: a data set that is not there and cannot be made, stored without random access, or without exactly
            one image and one label; images as in `decode_many`.
    """
    builder = _prepared(name)
    directory = Path(builder.data_dir)
    files = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in directory.iterdir())
    identity = {"source": "tfds", "decode": DECODE_VERSION, "size": size, "fit": fit}
    identity |= {"name": builder.info.full_name, "directory": shown(directory.resolve()), "files": files}
    return _read(name, builder, json.loads(json.dumps(identity)), size, fit, memory)


def _prepared(name: str) -> Any:
    """A builder whose data is on disk."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder, registered

    where = data_directory()
    # TFDS raises many kinds of errors for names, versions and folders that do not fit; each carries its reason.
    try:
        return read_only_builder.builder_from_files(name, data_dir=where)
    except registered.DatasetNotFoundError:
        pass
    except Exception as error:
        raise DataError(
            18, f"tfds:{name} under {shown(where)} cannot be opened ({_line(error)}): prepare it again"
        ) from error
    try:
        builder = tfds.builder(name, data_dir=where, file_format="array_record")
    except Exception as error:
        reason = "" if isinstance(error, registered.DatasetNotFoundError) else f" ({_line(error)})"
        raise DataError(
            15,
            f"tfds:{name} is neither prepared under {shown(where)} nor a data set TFDS can prepare{reason}: check the "
            "name, its config and version, or set TFDS_DATA_DIR to the folder that holds it",
        ) from error
    manual = where / "downloads" / "manual" / builder.name
    missing = _missing_files(builder, manual)
    if missing:
        code = f"tfds.builder('{name}', file_format='array_record').download_and_prepare()"
        raise DataError(
            15,
            f"tfds:{name} is not prepared under {shown(where)}: set TFDS_DATA_DIR to where it is, prepare it with "
            f'python -c "import tensorflow_datasets as tfds; {code}" (some data sets need TensorFlow for that), or put '
            f"into {shown(manual)}: {missing}",
        )
    if builder.url_infos:
        from cnn_jax.data.tfds_builders import without_tensorflow

        builder = without_tensorflow(builder, manual, where)
    try:
        # TFDS prints to standard output, which belongs to the command's result.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
    except Exception as error:
        raise DataError(
            15,
            f"tfds:{name} cannot be prepared under {shown(where)} ({_line(error)}): set TFDS_DATA_DIR to where it is",
        ) from error
    return builder


def _missing_files(builder: Any, manual: Path) -> str:
    """Names and hashes of the files the builder would download and that are not in the manual folder."""
    missing = [
        f"{info.filename} from {url} (sha256 {info.checksum})"
        for url, info in (builder.url_infos or {}).items()
        if not (manual / (info.filename or "")).is_file()
    ]
    return ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")


def _read(
    name: str, builder: Any, identity: dict[str, Any], size: tuple[int, int] | None, fit: str, memory: int | None
) -> Source:
    import tensorflow_datasets as tfds

    image_key, label_key = _keys(name, builder.info.features)
    try:
        found = builder.as_data_source(decoders={image_key: tfds.decode.SkipDecoding()})
    except (NotImplementedError, ValueError) as error:
        raise DataError(
            17,
            f"tfds:{name} in {shown(builder.data_dir)} is stored as {builder.info.file_format}, which has no random "
            "access: prepare it again with file_format='array_record'",
        ) from error
    if "train" not in found:
        raise DataError(13, f"tfds:{name} has no train split, only {', '.join(found)}: name a data set that has one")
    sizes = {split: len(found[split]) for split in SPLIT_NAMES if split in found}
    records = ArrayRecords(f"tfds:{name}", Path(builder.data_dir), sizes, (image_key, label_key), size, fit)
    threads = builder.info.splits["train"].num_bytes > THREADS_FROM_BYTES * sizes["train"]
    classes = tuple(builder.info.features[label_key].names)
    if memory is not None and decoded_bytes(records, size) > memory:
        labels = records.labels()
        parts, rule = _parts(name, labels, sizes)
        images, digests = surveyed(identity, records, labels, parts, threads=threads)
        return Source(classes, {split: Split(images[at], labels[at]) for split, at in parts.items()}, digests, rule)

    def decode() -> Source:
        labels = np.empty(len(records), np.int32)

        def read(index: int) -> np.ndarray:
            image, labels[index] = records.example(index)
            return image

        images = decode_many(f"tfds:{name}", len(records), read, records.name, threads=threads)
        parts, rule = _parts(name, labels, sizes)
        splits = {split: Split(images[at], labels[at]) for split, at in parts.items()}
        return Source(classes, splits, {split: value.digest() for split, value in splits.items()}, rule)

    return cached(identity, decode)


def _parts(name: str, labels: np.ndarray, sizes: dict[str, int]) -> tuple[dict[str, slice | np.ndarray], str]:
    """Which of all examples, in order, make train, test and validation; and by what rule, if the data does not say."""
    parts: dict[str, slice | np.ndarray] = {}
    start = 0
    for split, count in sizes.items():
        at = slice(start, start + count)
        start += count
        if (labels[at] == -1).all():
            _log.warning("tfds:%s: the %s split has no labels and is left out", name, split)
            continue
        parts[split] = at
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
        return parts, "validation is test"
    if "test" not in parts:
        train = np.arange(len(labels))[parts["train"]]
        chosen = held_out(labels[train], TEST_FRACTION, seed=0)
        parts["train"], parts["test"] = train[~chosen], train[chosen]
        return parts, f"test held out by index, fraction {TEST_FRACTION}"
    return parts, ""


def _keys(name: str, features: Any) -> tuple[str, str]:
    """The names of the image and the label among the features, found by their types."""
    import tensorflow_datasets as tfds

    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    keys = []
    for kind, wanted in kinds.items():
        # Segmentation masks and the like are subclasses of Image; they are not the picture.
        fitting = [key for key, feature in features.items() if type(feature) is wanted]
        fitting = [kind] if kind in fitting else fitting
        if len(fitting) != 1:
            have = ", ".join(f"{key}: {type(feature).__name__}" for key, feature in sorted(features.items()))
            raise DataError(16, f"tfds:{name} has {len(fitting)} {wanted.__name__} features, one is needed: {have}")
        keys += fitting
    return keys[0], keys[1]


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
