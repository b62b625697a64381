"""Reads traced models: layer table, receptive fields, costs, legality, differences. Importing this imports no JAX."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnn_jax.analysis.check import Problem as Problem
    from cnn_jax.analysis.check import check as check
    from cnn_jax.analysis.diff import Diff as Diff
    from cnn_jax.analysis.diff import diff as diff
    from cnn_jax.analysis.errata import Errata as Errata
    from cnn_jax.analysis.errata import errata as errata
    from cnn_jax.analysis.show import show as show
    from cnn_jax.analysis.show import totals as totals
    from cnn_jax.analysis.table import Table as Table

_HOME = {
    "Problem": "check",
    "check": "check",
    "Diff": "diff",
    "diff": "diff",
    "Errata": "errata",
    "errata": "errata",
    "show": "show",
    "totals": "show",
    "Table": "table",
}


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # also where a submodule of the same name has just been bound here
    return value
