"""Files of tensors: safetensors; PyTorch's `.pth` and Keras's `.h5` where their libraries are installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from cnn_jax.errors import CheckpointError, DataError

_KERAS_3 = {  # a layer's weights in the order in which Keras 3 numbers them, by its class
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel"),
}


def read_tensors(file: str | Path) -> dict[str, Any]:
    """The tensors of a file by name; its ending says what it is.

    `.safetensors` needs nothing else; `.pth` and `.pt` need PyTorch (`pip install 'cnn-jax[pth]'`) and are read by its
    safe loader, which runs no code of the file; `.h5` needs h5py (`pip install 'cnn-jax[h5]'`).

    Raises:
        DataError: a file that is missing, broken or of no such kind, or whose library is missing.
    """
    readers = {".safetensors": read_safetensors, ".pth": _read_pth, ".pt": _read_pth, ".h5": _read_h5}
    file = Path(file)
    if file.suffix not in readers:
        raise DataError(122, f"{file}: {file.suffix or 'a file without ending'} is none of {', '.join(readers)}")
    if not file.is_file():
        raise DataError(123, f"{file} is not there")
    return readers[file.suffix](file)


def read_safetensors(file: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file by name.

    Raises:
        DataError: missing or broken.
    """
    try:
        return load_file(str(file))
    except (OSError, SafetensorError) as error:
        raise DataError(124, f"{file} is no whole safetensors file: {_first_line(error)}") from error


def read_metadata(file: str | Path) -> dict[str, str]:
    """The metadata of a safetensors file; {} if there is none.

    Raises:
        DataError: missing or broken.
    """
    try:
        with safe_open(str(file), framework="np") as stream:
            return dict(stream.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise DataError(124, f"{file} is no whole safetensors file: {_first_line(error)}") from error


def write_safetensors(file: str | Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors so that the file is there whole or not at all.

    Raises:
        CheckpointError: the disk is full or cannot be written.
    """
    file = Path(file)
    partial = file.with_name(f".{file.name}.partial")
    # The library writes the memory as it lies: a transposed view would come out wrong without a word.
    arrays = {name: np.array(tensor, order="C", copy=None) for name, tensor in tensors.items()}
    try:
        save_file(arrays, str(partial), metadata=dict(metadata or {}))
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(file)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(120, f"cannot write {file}: {_first_line(error)}") from error


def _read_pth(file: Path) -> dict[str, Any]:
    torch = _library("torch", "pth", file)
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        raise DataError(125, f"{file}: PyTorch {torch.__version__} cannot read it safely: install 2.6 or newer")
    try:
        read = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever a broken file provokes
        raise DataError(126, f"{file} cannot be read by PyTorch's safe loader: {_first_line(error)}") from error
    for key in ("state_dict", "model", "model_state_dict"):  # a checkpoint with more in it than weights
        if isinstance(read, Mapping) and isinstance(read.get(key), Mapping):
            read = read[key]
    if not isinstance(read, Mapping) or not all(isinstance(value, torch.Tensor) for value in read.values()):
        raise DataError(127, f"{file} holds a {type(read).__name__}, not tensors by name: save model.state_dict()")
    # DataParallel calls its network `module`.
    wrapped = all(name.startswith("module.") for name in read)
    return {name.removeprefix("module.") if wrapped else name: value for name, value in read.items()}


def _read_h5(file: Path) -> dict[str, Any]:
    h5py = _library("h5py", "h5", file)
    tensors = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset):
            return
        *_, group, layer, leaf = ("", "", *name.split("/"))
        if layer == "vars":  # Keras 3: layers/conv2d_1/vars/0, the layer's own name an attribute
            kind = group.rstrip("0123456789").rstrip("_")
            layer = node.parent.attrs.get("name", group)
            leaf = _KERAS_3.get(kind, ("kernel", "bias"))[int(leaf)]
        tensors[f"{layer}/{leaf}"] = node[()]

    try:
        with h5py.File(file) as stream:
            stream.get("model_weights", stream).visititems(visit)
    except (OSError, IndexError, ValueError) as error:
        raise DataError(128, f"{file} is no whole file of Keras's weights: {_first_line(error)}") from error
    return tensors


def _library(name: str, extra: str, file: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(129, f"{file} needs {name}: pip install 'cnn-jax[{extra}]', or give .safetensors") from error


def _first_line(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).splitlines()[0] if str(error) else type(error).__name__
