"""What a result was measured by: two results may be compared when this is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cnn_jax.evaluate.protocols import Protocol, Size

_OF_THE_NETWORK = ("members", "step")


def identity_of(
    protocol: Protocol, *, image_size: Size, fit: str, split: str, data: str, members: int, step: str
) -> dict[str, Any]:
    """The canonical description of an evaluation.

    Args:
        protocol: what was done with an image.
        image_size: `(height, width)` of the images before the protocol.
        fit: how they came to this size: none, pad or resize.
        split: which part of the data.
        data: fingerprint of the data.
        members: how many networks were averaged.
        step: of the checkpoint, or the steps that were averaged.
    """
    return {
        "protocol": protocol.name,
        "views": protocol.count(image_size),
        "crop": None if protocol.crop is None else list(protocol.crop),
        "scales": list(protocol.scales),
        "image_size": list(image_size),
        "fit": fit,
        "split": split,
        "data": data,
        "members": members,
        "step": step,
    }


def digest(identity: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of the sha256 of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def comparable(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an identity in which two results that are compared must agree: all but whose answers they are."""
    return {key: value for key, value in identity.items() if key not in _OF_THE_NETWORK}


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What keeps two results from being compared: `crop: [28, 28] and [32, 32]`, one a key; [] if nothing does."""
    a, b = comparable(ours), comparable(theirs)
    return [f"{key}: {a.get(key)} and {b.get(key)}" for key in sorted(a | b) if a.get(key) != b.get(key)]
