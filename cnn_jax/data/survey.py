"""One pass over images that stay in their files: every one is read once, checked and measured, and then let go.

What a pass finds is kept in `${CNN_JAX_CACHE:-~/.cache/cnn_jax}/surveys/KEY.npz` (104 bytes an image), so that the
next start reads nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.cache import cache_directory
from cnn_jax.data.decode_many import each_image
from cnn_jax.data.lazy import LazyImages, Records, moments_of

_FORMAT = 1
_log = logging.getLogger(__name__)


class Survey(NamedTuple):
    """What a pass found.

    Attributes:
        shape: `(H, W, C)` of every image.
        moments: int64 `[N, C + C * C]`, see `LazyImages`.
        digests: of every part what `Split.digest()` would be, were it in memory.
    """

    shape: tuple[int, int, int]
    moments: np.ndarray
    digests: dict[str, str]


def surveyed(
    identity: Mapping[str, Any],
    records: Records,
    labels: np.ndarray,
    parts: Mapping[str, Any],
    *,
    threads: bool,
) -> tuple[LazyImages, dict[str, str]]:
    """The images of `records`, checked and measured, now or by an earlier start.

    Args:
        identity: JSON values that change whenever the images or their parts do.
        records: the images.
        labels: int32 `[N]`.
        parts: of every split which records it holds, as an index of NumPy.
        threads: whether to read on all cores.

    Returns:
        The images, and of every part its digest.

    Raises:
        DataError: as `decode_many`.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, identity], sort_keys=True).encode()).hexdigest()
    file = cache_directory().with_name("surveys") / f"{key[:32]}.npz"
    survey = _read(file)
    if survey is None:
        survey = _survey(records, labels, parts, threads)
        try:
            _write(file, survey)
        except OSError as error:
            _log.warning("what was measured is not kept in %s (%s); the next start measures again", file.parent, error)
    return LazyImages(records, survey.shape, survey.moments), survey.digests


def _survey(records: Records, labels: np.ndarray, parts: Mapping[str, Any], threads: bool) -> Survey:
    count = len(records)
    members = {name: np.arange(count)[at] for name, at in parts.items()}
    order = np.concatenate(list(members.values()))
    part_of = np.repeat(np.arange(len(members)), [len(index) for index in members.values()])
    # Whether all images are grey is known at the end only: until a coloured one comes, both outcomes are prepared.
    digests: dict[int, list[Any]] = {}
    moments = {channels: np.zeros((count, channels + channels**2), np.int64) for channels in (1, 3)}
    height = width = 0
    images = each_image(
        count, lambda i: records.read(int(order[i])), lambda i: records.name(int(order[i])), threads=threads
    )
    for at, image in images:
        if not digests:
            height, width = image.shape[:2]
            digests = {c: [_begun(len(index), (height, width, c)) for index in members.values()] for c in (1, 3)}
        if image.shape[2] == 3:
            digests.pop(1, None)
        for channels, hashes in digests.items():
            wide = np.ascontiguousarray(np.broadcast_to(image, (height, width, channels)))
            hashes[part_of[at]].update(wide.data)
            moments[channels][order[at]] = moments_of(wide)
    channels = min(digests)
    for hashed, index in zip(digests[channels], members.values(), strict=True):
        hashed.update(np.ascontiguousarray(labels[index]).data)
    found = {name: hashed.hexdigest() for name, hashed in zip(members, digests[channels], strict=True)}
    return Survey((height, width, channels), moments[channels], found)


def _begun(count: int, shape: tuple[int, ...]) -> Any:
    """The beginning of `Split.digest()`."""
    return hashlib.sha256(repr((count, *shape)).encode())


def _read(file: Path) -> Survey | None:
    try:
        with np.load(file, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            height, width, channels = meta["shape"]
            return Survey((height, width, channels), stored["moments"], meta["digests"])
    except FileNotFoundError:
        return None
    except Exception as error:
        # A damaged archive makes np.load raise anything (its parts carry checksums); it can be made again.
        _log.warning("%s is damaged (%s); the images are measured again", file, error)
        return None


def _write(file: Path, survey: Survey) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.stem}.{uuid.uuid4().hex}.npz")
    try:
        meta = json.dumps({"shape": survey.shape, "digests": survey.digests})
        np.savez(partial, moments=survey.moments, meta=np.asarray(meta))
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)
