"""The data set on disk: prepared once under `TFDS_DATA_DIR`, read back fast."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.errors import DataError

CONFIGS = ("32", "64", "tiny", "32-pairs", "64-pairs")
VERSION = "1.0.0"


def prepare(config: str = "32", data_dir: str | os.PathLike[str] | None = None, *, verbose: bool = False) -> Any:
    """Writes a config of `shapes` as a TFDS data set, unless it is there already.

    The directory appears whole or not at all; a second process that asks for the same one waits for the first.

    Args:
        config: one of `CONFIGS`.
        data_dir: where TFDS keeps its data sets; default `TFDS_DATA_DIR`, then `~/tensorflow_datasets`.
        verbose: shows progress on standard error even where that is no terminal.

    Returns:
        The `tfds.core.DatasetBuilder`, prepared.

    Raises:
        DataError: no such config, or a directory that cannot be written.
    """
    if config not in CONFIGS:
        raise DataError(73, f"shapes has no config {config!r}: use one of {', '.join(CONFIGS)}")
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    finished = root / "shapes" / config / VERSION / "dataset_info.json"
    if finished.exists():
        return _builder(config, root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / f".shapes-{config}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            builder = _builder(config, root)
            if not finished.exists():
                with _progress(builder, verbose):
                    builder.download_and_prepare(file_format="array_record")
            return builder
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(74, f"cannot write shapes to {root}: {reason}; set TFDS_DATA_DIR to another place") from error


def load(config: str = "32", data_dir: str | os.PathLike[str] | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Prepares `config` if need be and reads its images and labels.

    Returns:
        {"train": ..., "test": ...}, each with image, uint8 [n, size, size, 3], and label, int32 [n], in order of index.

    Raises:
        DataError: as `prepare`, or records that cannot be read.
    """
    builder = prepare(config, data_dir)
    try:
        return {split: _read(builder, split) for split in ("train", "test")}
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise DataError(
            75, f"shapes in {builder.data_dir} is damaged ({error}): remove that directory, it is written again"
        ) from error


def _builder(config: str, root: Path) -> Any:
    from cnn_jax.data.shapes.builder import Shapes

    return Shapes(config=config, data_dir=root, file_format="array_record")


def _read(builder: Any, split: str) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds
    from PIL import Image

    # Of a record only image and label are decoded, and the image not by TFDS, which warns that OpenCV were faster.
    features = builder.info.features
    wanted = tfds.features.FeaturesDict({name: features[name] for name in ("image", "label")})
    source = builder.as_data_source(split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    images = np.empty((len(source), *features["image"].shape), np.uint8)
    labels = np.empty(len(source), np.int32)
    for start in range(0, len(source), 1024):
        indices = range(start, min(start + 1024, len(source)))
        for index, record in zip(indices, source.__getitems__(list(indices)), strict=True):
            example: Any = wanted.deserialize_example_np(record, decoders={"image": tfds.decode.SkipDecoding()})
            images[index] = np.asarray(Image.open(io.BytesIO(example["image"])))
            labels[index] = example["label"]
    return {"image": images, "label": labels}


@contextlib.contextmanager
def _progress(builder: Any, verbose: bool) -> Iterator[None]:
    """One bar with images/s on standard error where somebody looks; TFDS' own bars and messages are silenced."""
    import tensorflow_datasets as tfds
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from tensorflow_datasets.core.utils import tqdm_utils

    config = builder.builder_config
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    shown = verbose or sys.stderr.isatty()
    bars_were_on = tqdm_utils._active
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not shown) as bars:
        task = bars.add_task(f"shapes {config.name}", total=config.train + config.test, rate="")

        def advance(count: int) -> None:
            speed = bars.tasks[0].finished_speed or bars.tasks[0].speed
            bars.update(task, advance=count, rate=f"{speed:.0f} images/s" if speed else "")

        builder.progress = advance
        tfds.display_progress_bar(False)
        try:
            # TFDS prints to standard output, which belongs to the command's result.
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        finally:
            tfds.display_progress_bar(bars_were_on)
            builder.progress = None
