"""Two evaluations read back from their files and compared."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.errors import ConfigError, DataError
from cnn_jax.evaluate.comparison import paired
from cnn_jax.evaluate.identity import differing

_NEEDED = ("identity", "identity_hash", "comparable_hash", "accuracy", "n", "model", "members", "split", "data")


class Read(NamedTuple):
    """An evaluation on disk.

    Attributes:
        document: `evaluation.json`.
        right: bool `[n]`, the answers that are right; None where they are not kept example by example.
        label: the true classes, by name.
    """

    document: dict[str, Any]
    right: np.ndarray | None
    label: list[str] | None


def compare_files(a: Path, b: Path, *, force: bool = False) -> dict[str, Any]:
    """Compares two results.

    Where both have their answers example by example on the same examples: McNemar's exact test and the 95% interval of
    the difference in accuracy. Otherwise the difference alone.

    Args:
        a: an `evaluation.json`, or what `eval --json` printed.
        b: the other.
        force: compare what was measured by other protocols or on other data, too.

    Raises:
        DataError: a file that is missing, damaged or no evaluation.
        ConfigError: results that were not measured in the same way, unless forced.
    """
    ours, theirs = read_evaluation(a), read_evaluation(b)
    other = differing(ours.document["identity"], theirs.document["identity"])
    if other and not force:
        raise ConfigError(
            213,
            f"{a} and {b} were not measured in the same way ({'; '.join(other)}): evaluate both with one protocol on "
            "the same data, or --force",
        )
    result: dict[str, Any] = {
        "a": _short(a, ours.document),
        "b": _short(b, theirs.document),
        "same_identity": not other,
        "differing": other,
        "difference": ours.document["accuracy"] - theirs.document["accuracy"],
        "paired": None,
    }
    if ours.right is not None and theirs.right is not None and ours.label == theirs.label:
        found = paired(ours.right, theirs.right)
        result["paired"] = {**found._asdict(), "separated": found.separated}
        result["difference"] = found.difference
    return result


def read_evaluation(file: Path) -> Read:
    """Reads an evaluation, and its answers where they lie beside it.

    Raises:
        DataError: it is missing, damaged or no evaluation, or the answers are of another one.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        missing = [key for key in _NEEDED if key not in document]
    except OSError as error:
        raise DataError(205, f"{file} cannot be read: {error.strerror}; give the evaluation.json of eval") from None
    except (ValueError, TypeError) as error:
        raise DataError(206, f"{file} is no evaluation: {error}") from None
    if missing:
        raise DataError(206, f"{file} is no evaluation: it has no {missing[0]!r}; give what eval wrote")
    if "predictions" not in document:
        return Read(document, None, None)
    table = file.parent / Path(document["predictions"]).name
    try:
        content = table.read_bytes()
        if hashlib.sha256(content).hexdigest() != document.get("predictions_sha256"):
            raise ValueError(f"it is not the table that {file.name} was written with")
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))
        right, label = np.array([int(row["right"]) for row in rows], bool), [row["class"] for row in rows]
    except OSError:
        return Read(document, None, None)
    except (ValueError, KeyError) as error:
        raise DataError(207, f"{table} is damaged: {error}; evaluate again") from None
    return Read(document, right, label)


def _short(file: Path, document: dict[str, Any]) -> dict[str, Any]:
    keys = ("model", "members", "accuracy", "n", "identity_hash", "comparable_hash")
    return {"file": str(file), **{key: document[key] for key in keys}}
