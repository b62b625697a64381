"""The Python interface: which objects the reference shows, and where. mkdocstrings renders their docstrings."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterable
from typing import Any

import cnn_jax

_INTRODUCTION = """# Python

    import cnn_jax

imports nothing heavy; each name is loaded when it is first used. The command line is made of the same functions.
"""
# What the public functions return, take or raise.
RETURNED = (
    ("cnn_jax.evaluate", "Run"),
    ("cnn_jax.analysis", "Table"),
    ("cnn_jax.analysis", "Row"),
    ("cnn_jax.data", "Dataset"),
    ("cnn_jax.data", "Split"),
    ("cnn_jax.weights", "Exported"),
    ("cnn_jax.train.population", "Member"),
    ("cnn_jax.train.population", "train_population"),
    ("cnn_jax.train.whole", "train_whole"),
)
# What an experiment file is written with, and what speaks about its results.
EXPERIMENTS = ("space", "search", "halving", "claims", "order", "statistics")
PACKAGES = {
    "analysis": "Reading networks",
    "evaluate": "Evaluation",
    "ops": "Operations",
    "nn": "Layers",
}


def python_page() -> str:
    """The functions of `cnn_jax`, and what they return."""
    parts = [
        _INTRODUCTION,
        *(_entry(f"cnn_jax.{name}", public(name)) for name in cnn_jax.__all__),
        "\n## What they return, and more\n",
        *(_entry(f"{home}.{name}", getattr(importlib.import_module(home), name), 3) for home, name in RETURNED),
    ]
    return "".join(parts)


def public(name: str) -> Any:
    """The function behind a name of `cnn_jax`: the attribute `train` may be the package, which is called like it."""
    return getattr(importlib.import_module(cnn_jax._HOME[name]), name)


def experiments_page() -> str:
    """What experiment files are written with."""
    parts = ["# Experiments in Python\n\nHow they are used: [Sweeps and claims](../sweeps.md).\n"]
    for name in EXPERIMENTS:
        module = importlib.import_module(f"cnn_jax.sweep.{name}")
        parts.append(f"\n## cnn_jax.sweep.{name}\n\n{_first(module)}\n")
        parts += [_entry(f"{module.__name__}.{key}", value, level=3) for key, value in own(module)]
    return "".join(parts)


def package_page(name: str) -> str:
    """The public names of a package."""
    module = importlib.import_module(f"cnn_jax.{name}")
    parts = [f"# {PACKAGES[name]}: cnn_jax.{name}\n\n{_first(module)}\n"]
    parts += [_entry(f"cnn_jax.{name}.{key}", value) for key, value in exported(module)]
    return "".join(parts)


def exported(module: types.ModuleType) -> Iterable[tuple[str, Any]]:
    """The functions and classes that a package offers under its own name, in order of the alphabet."""
    names = getattr(module, "__all__", None) or [*getattr(module, "_HOME", ()), *vars(module)]
    for name in sorted(set(names), key=str.lower):
        value = getattr(module, name)
        if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)) and _ours(value):
            yield name, value


def own(module: types.ModuleType) -> Iterable[tuple[str, Any]]:
    """The public functions and classes that a module defines, in its order."""
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__ and callable(value):
            yield name, value


def _ours(value: Any) -> bool:
    return value.__module__.startswith("cnn_jax.")


def _entry(shown: str, value: Any, level: int = 2) -> str:
    """Signature and docstring, found where the object is defined, under the name that users write."""
    return (
        f"\n::: {value.__module__}.{value.__qualname__}\n    options:\n"
        f"      heading: {shown}\n      toc_label: {value.__name__}\n      heading_level: {level}\n"
    )


def _first(module: types.ModuleType) -> str:
    return inspect.cleandoc(module.__doc__ or "")
