"""The ImageNet history as pure-function JAX.

The names below are the public Python interface; each is imported when it is first used, so that `import cnn_jax` and
`cnn-jax --help` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnn_jax.analysis import show
    from cnn_jax.config import load_config
    from cnn_jax.data import load_dataset
    from cnn_jax.evaluate import load
    from cnn_jax.models import create
    from cnn_jax.train import train
    from cnn_jax.weights import export_weights, import_weights, load_exported

__version__ = "0.1.0"

_HOME = {
    "create": "cnn_jax.models",
    "export_weights": "cnn_jax.weights",
    "import_weights": "cnn_jax.weights",
    "load": "cnn_jax.evaluate",
    "load_config": "cnn_jax.config",
    "load_dataset": "cnn_jax.data",
    "load_exported": "cnn_jax.weights",
    "show": "cnn_jax.analysis",
    "train": "cnn_jax.train",
}

__all__ = [
    "create",
    "export_weights",
    "import_weights",
    "load",
    "load_config",
    "load_dataset",
    "load_exported",
    "show",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cnn_jax' has no attribute {name!r}")
    # A submodule that is imported sets itself as an attribute of the package, which would hide the function
    # `cnn_jax.train` behind the package `cnn_jax.train`: the function is put back.
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
