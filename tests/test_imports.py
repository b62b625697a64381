"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnn_jax"
# A package may import what stands left of it; None is the top level (errors, config), which all may import.
ORDER = ["ops", "nn", "models", "tasks", "train", "sweep", "main"]
READERS = {
    "data": {"ops"},
    "analysis": {"ops", "nn", "models", "data"},
    "weights": {"ops", "nn", "models", "analysis", "data", "tasks", "train"},
    "evaluate": {"ops", "nn", "models", "analysis", "data", "tasks", "train"},
    "inspect": {"ops", "nn", "models", "analysis", "data", "tasks", "train", "evaluate"},
    "serve": {"ops", "nn", "models", "analysis", "data", "tasks", "train", "evaluate", "inspect"},
    "bench": {"ops", "nn", "models", "analysis", "weights", "data", "tasks", "train", "sweep", "evaluate"},
    "report": {"ops", "nn", "models", "analysis", "data", "tasks", "train", "sweep", "evaluate", "inspect"},
}
# What a package to the right may use besides what stands left of it in ORDER.
BESIDE = {"tasks": {"data"}, "train": {"data"}, "sweep": {"data", "analysis", "evaluate"}}
# The top level: all may import it, and it imports nothing but its like.
TOP = {"errors", "config", "schema", "augmentations", "plotting"}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def allowed(package: str) -> set[str]:
    if package in READERS:
        return READERS[package] | {package}
    if package in ("main", "__main__", "commands", "__init__"):
        return {*ORDER, *READERS, "commands"}
    left = set(ORDER[: ORDER.index(package)])
    return left | {package} | BESIDE.get(package, set())


def imports(file: Path) -> set[str]:
    """The subpackages of cnn_jax that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in found if name.split(".")[0] == "cnn_jax"]
    return {p[1] for p in parts if len(p) > 1 and ((PACKAGE / p[1]).exists() or (PACKAGE / f"{p[1]}.py").exists())}


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_left(file):
    package = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if package in TOP:
        assert imports(file) <= {"errors", "schema", "augmentations"}
        return
    wrong = imports(file) - allowed(package) - TOP
    assert not wrong, f"{file.relative_to(ROOT)} may not import {sorted(wrong)}"


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_nothing_imports_experiments_or_configs(file):
    text = file.read_text()
    assert "import experiments" not in text
    assert "import configs" not in text


def test_only_ops_convolve_and_pool():
    """Legality is checked in ops, and the fast gradients live there: no model goes past them."""
    banned = ("lax.conv", "nn.max_pool", "nn.avg_pool", "lax.reduce_window", "fnn.Conv(", "linen.Conv(")
    for file in [*(PACKAGE / "nn").glob("*.py"), *(PACKAGE / "models").glob("*.py")]:
        for word in banned:
            assert word not in file.read_text(), f"{file.name} uses {word}"


def test_configs_import_ml_collections_only():
    for file in (ROOT / "configs").rglob("*.py"):
        names = {node.module for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)}
        names |= {a.name for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Import) for a in n.names}
        assert names == {"ml_collections"}, file.name


@pytest.mark.parametrize("module", ["cnn_jax", "cnn_jax.main", "cnn_jax.config", "cnn_jax.models", "cnn_jax.errors"])
def test_light_modules_import_nothing_heavy(module):
    heavy = "{'jax', 'flax', 'optax', 'orbax', 'tensorflow_datasets', 'matplotlib', 'pandas', 'tensorboardX'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_peers_import_nothing_of_ours():
    """They run in an interpreter that has their libraries and not this package."""
    for file in (PACKAGE / "bench" / "peers").glob("*.py"):
        assert not imports(file), file.name


def test_no_file_grows_past_its_reason():
    names = {"utils.py", "misc.py", "helpers.py"}
    for file in SOURCES:
        assert len(file.read_text().splitlines()) <= 400, f"{file.relative_to(ROOT)} has over 400 lines"
        assert file.name not in names
