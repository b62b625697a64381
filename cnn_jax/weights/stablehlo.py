"""A network as one file that runs without this package's models: StableHLO, through `jax.export`.

The file is a function from uint8 images `[b, H, W, C]`, any b, to probabilities; weights and the standardisation of the
pixels are inside. `FILE.json` beside it says what the classes and the input are, and holds the file's sha256.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax import ops
from cnn_jax.errors import CheckpointError, DataError
from cnn_jax.tasks import Task, Variables
from cnn_jax.train.build import DataSpec

PLATFORMS = ("cpu", "cuda", "tpu")
_FORMAT = "cnn_jax.stablehlo/1"
_PACKAGES = ("cnn-jax", "jax", "jaxlib")


class Exported(NamedTuple):
    """A network read back from a file of StableHLO.

    Attributes:
        classes: their names.
        image_shape: `(H, W, C)` of the images.
        facts: the JSON beside the file.
        call: `(images uint8 [N, H, W, C]) -> float32 [N, outputs]`, on the default device.
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    facts: Mapping[str, Any]
    call: Any

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, as `Run.predict` gives them.

        Args:
            images: uint8 [N, H, W, C], or one image [H, W, C].

        Raises:
            DataError: images of another shape or type than the network was trained on.
        """
        images = np.asarray(images)
        batch = images[None] if images.ndim == 3 else images
        if batch.dtype != np.uint8 or batch.shape[1:] != self.image_shape:
            raise DataError(
                30,
                f"images are {images.dtype}{list(images.shape)}: this network takes uint8[N, "
                f"{', '.join(map(str, self.image_shape))}]",
            )
        probabilities = np.asarray(self.call(batch))
        return probabilities[0] if images.ndim == 3 else probabilities


def export_stablehlo(
    file: str | Path, *, task: Task, variables: Variables, spec: DataSpec, model: str, step: str
) -> dict[str, Any]:
    """Writes a network as StableHLO, and the JSON beside it.

    Args:
        file: where to.
        task: the run's.
        variables: the run's; they become constants of the function.
        spec: the run's.
        model: its name.
        step: of its checkpoint.

    Returns:
        What stands in the JSON, `file` and `bytes`.

    Raises:
        CheckpointError: the files cannot be written.
    """
    from jax import export

    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *spec.image_shape), np.uint8)
    # Plain operations are what every platform lowers well; the fast forms are for the CPU that this is traced on.
    with ops.plain_ops():
        function = jax.jit(lambda image: task.predict(variables, image))
        exported = export.export(function, platforms=PLATFORMS)(images)
    content = bytes(exported.serialize())
    facts = {
        "format": _FORMAT,
        "model": model,
        "step": step,
        "classes": list(spec.classes),
        "input": {"shape": ["b", *spec.image_shape], "dtype": "uint8"},
        "output": {"shape": ["b", exported.out_avals[0].shape[-1]], "dtype": "float32", "what": "probabilities"},
        "platforms": list(PLATFORMS),
        "calling_convention_version": exported.calling_convention_version,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    file = Path(file)
    beside = _beside(file)
    try:
        _write(file, content)
        _write(beside, (json.dumps(facts, indent=2) + "\n").encode())
    except OSError as error:
        raise CheckpointError(202, f"cannot write {file}: {error.strerror or error}") from error
    return {"file": str(file), "bytes": len(content), **facts}


def load_exported(file: str | Path) -> Exported:
    """Reads a network that `cnn-jax export --format=stablehlo` wrote. Nothing of this package's models is needed.

    Args:
        file: the file; its JSON lies beside it.

    Returns:
        The network, ready to predict.

    Raises:
        DataError: a file that is missing or damaged, or of a format that this JAX cannot read.
    """
    from jax import export

    file = Path(file)
    beside = _beside(file)
    try:
        content, facts = file.read_bytes(), json.loads(beside.read_text(encoding="utf-8"))
        if facts["format"] != _FORMAT or facts["sha256"] != hashlib.sha256(content).hexdigest():
            raise ValueError("its sha256 or format is not what its JSON says")
        shape, classes = tuple(facts["input"]["shape"][1:]), tuple(facts["classes"])
    except OSError as error:
        raise DataError(208, f"{error.filename} cannot be read: {error.strerror}; it takes both files") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(209, f"{file} is damaged: {error}; export it again") from None
    try:
        exported = export.deserialize(bytearray(content))
    except Exception as error:  # whatever a format of another JAX provokes
        version = facts.get("versions", {}).get("jax")
        raise DataError(
            210, f"{file} was written with JAX {version} and cannot be read with {jax.__version__}: {error}"
        ) from error
    return Exported(classes, shape, facts, jax.jit(exported.call))


def _beside(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def _write(file: Path, content: bytes) -> None:
    """The file is there whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
