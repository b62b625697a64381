"""Reads traced models: layer table, receptive fields, costs, legality, differences. Importing this imports no JAX."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnn_jax.analysis.comparison import Diff as Diff
    from cnn_jax.analysis.comparison import diff as diff
    from cnn_jax.analysis.corrections import Errata as Errata
    from cnn_jax.analysis.corrections import errata as errata
    from cnn_jax.analysis.legality import Cell as Cell
    from cnn_jax.analysis.legality import Problem as Problem
    from cnn_jax.analysis.legality import check as check
    from cnn_jax.analysis.sources import Provenance as Provenance
    from cnn_jax.analysis.sources import provenance as provenance
    from cnn_jax.analysis.stages import Taps as Taps
    from cnn_jax.analysis.stages import taps as taps
    from cnn_jax.analysis.stages import taps_named as taps_named
    from cnn_jax.analysis.summary import show as show
    from cnn_jax.analysis.summary import show_named as show_named
    from cnn_jax.analysis.summary import totals as totals
    from cnn_jax.analysis.table import Row as Row
    from cnn_jax.analysis.table import Table as Table

# No submodule bears the name of one of these functions: importing it would put the module in the function's place.
_HOME = {
    "Diff": "comparison",
    "diff": "comparison",
    "Errata": "corrections",
    "errata": "corrections",
    "Cell": "legality",
    "Problem": "legality",
    "check": "legality",
    "Provenance": "sources",
    "provenance": "sources",
    "Taps": "stages",
    "taps": "stages",
    "taps_named": "stages",
    "show": "summary",
    "show_named": "summary",
    "totals": "summary",
    "Row": "table",
    "Table": "table",
}


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
