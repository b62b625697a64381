"""In what a small network differs from its paper, as its own file says."""

from __future__ import annotations

import ast
from importlib.resources import files


def deviations(model: str) -> str:
    """The paragraph on deviations in the docstring of a network's file; empty where there is none.

    The file is read, not imported: a report needs no JAX.

    Args:
        model: a model name, `family:small` or with keywords; other variants have no deviations listed.
    """
    family, _, variant = model.partition(":")
    if variant.partition(",")[0] != "small" or not family.isidentifier():
        return ""
    try:
        source = (files("cnn_jax.models") / f"{family}.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    for paragraph in (ast.get_docstring(ast.parse(source)) or "").split("\n\n"):
        if paragraph.startswith("Deviations of `small`"):
            return " ".join(paragraph.partition(":")[2].split()).replace("`", "")
    return ""
