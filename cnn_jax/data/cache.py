"""Decoded data sets on disk, so that a second start costs seconds.

One directory an entry, `${CNN_JAX_CACHE:-~/.cache/cnn_jax}/datasets/KEY/`, holds `meta.json` and two `.npy` files a
split, which are mapped, not read. KEY is the sha256 of what the data is made from. An entry is written beside its
place and renamed into it, so that a reader sees all of it or nothing and two processes may build it at once. It is
verified when read (sizes, shapes, sha256 of the content); an entry that fails is built again. A cache that cannot be
written costs one warning, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Source, Split

_FORMAT = 1
_ABANDONED_SECONDS = 24 * 3600.0
_log = logging.getLogger(__name__)


def cache_directory() -> Path:
    """Where entries live; the environment variable `CNN_JAX_CACHE` moves it."""
    root = os.environ.get("CNN_JAX_CACHE") or Path.home() / ".cache" / "cnn_jax"
    return Path(root) / "datasets"


def cached(identity: dict[str, Any], build: Callable[[], Source]) -> Source:
    """The entry for `identity`, or what `build` returns, then kept for the next time.

    Args:
        identity: JSON values that change whenever `build` would return something else.
        build: makes the data; its errors pass through and leave nothing behind.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, identity], sort_keys=True).encode()).hexdigest()
    entry = cache_directory() / key[:32]
    try:
        if entry.exists():
            return _read(entry)
    except Exception as error:
        # A damaged file makes np.load and json raise anything; whatever it was, the data can be made again.
        _log.warning("cached data set %s is damaged (%s); it is built again", entry, error)
    source = build()
    try:
        _write(entry, source)
    except OSError as error:
        _log.warning("data set not cached in %s (%s); the next start decodes it again", entry.parent, error)
    return source


def _read(entry: Path) -> Source:
    """The entry's content.

    Raises:
        Exception: any damage.
    """
    meta = json.loads((entry / "meta.json").read_text("utf-8"))
    splits = {}
    for name, recorded in meta["digests"].items():
        image = np.load(entry / f"{name}.image.npy", mmap_mode="r", allow_pickle=False)
        label = np.load(entry / f"{name}.label.npy", allow_pickle=False)
        splits[name] = Split(image, label)
        if splits[name].digest() != recorded:
            raise ValueError(f"sha256 of {name} differs")
    return Source(tuple(meta["classes"]), splits, meta["digests"], meta["rule"])


def _write(entry: Path, source: Source) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(entry.parent)
    building = entry.with_name(f"{entry.name}.{uuid.uuid4().hex}.tmp")
    try:
        building.mkdir()
        for name, split in source.splits.items():
            # np.save and not a mapped file: on a full disk a write raises, a store into a mapping kills the process.
            np.save(building / f"{name}.image.npy", split.image, allow_pickle=False)
            np.save(building / f"{name}.label.npy", split.label, allow_pickle=False)
        meta = {"classes": source.classes, "digests": source.digests, "rule": source.rule}
        (building / "meta.json").write_text(json.dumps(meta), "utf-8")
        if entry.exists():
            # Damaged, or finished by another process meanwhile; a mapping it still uses outlives the unlinking.
            entry.rename(building.with_suffix(".old.tmp"))
        building.rename(entry)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(building.with_suffix(".old.tmp"), ignore_errors=True)


def _remove_abandoned(directory: Path) -> None:
    """Deletes what killed processes left half-written; a day is longer than any build."""
    for path in directory.glob("*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
