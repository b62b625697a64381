"""The notebooks: what they are made of, without running them; and, marked notebook, each one run as by a reader."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
FIGURES = ROOT / "docs" / "notebooks"
PAGE = ROOT / "docs" / "notebooks.md"
every = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)

LIBRARIES = {"jax", "numpy", "PIL", "pandas", "flax"}
STANDARD = {"math", "json", "tempfile", "pathlib", "itertools"}
# What the README and the docs name for use in Python.
PUBLIC = {
    *("cnn_jax", "cnn_jax.analysis", "cnn_jax.data", "cnn_jax.data.shapes", "cnn_jax.data.symbols"),
    *(
        "cnn_jax.errors",
        "cnn_jax.evaluate",
        "cnn_jax.evaluate.images",
        "cnn_jax.models",
        "cnn_jax.nn",
        "cnn_jax.ops",
        "cnn_jax.plotting",
    ),
    *("cnn_jax.train.population", "cnn_jax.train.progress"),
}
PUBLIC_PACKAGES = (
    "cnn_jax.inspect.",
    "cnn_jax.sweep.",
)  # their functions are for notebooks: docs/inspect.md, sweeps.md


def cells(file: Path) -> list[tuple[str, str]]:
    """(kind and tags, text) of each cell of a script in percent format."""
    parts = re.split(r"^# %%(.*)$", file.read_text(), flags=re.MULTILINE)
    assert not parts[0].strip(), f"{file.name}: something stands before the first cell"
    return [(head.strip(), text.strip("\n")) for head, text in zip(parts[1::2], parts[2::2], strict=True)]


def prose(file: Path) -> str:
    """The text of its Markdown cells."""
    texts = [text for head, text in cells(file) if head.startswith("[markdown]")]
    assert all(line.startswith("#") for text in texts for line in text.splitlines())
    return "\n\n".join(re.sub(r"^# ?", "", text, flags=re.MULTILINE) for text in texts)


def test_there_are_ten_in_order():
    assert [int(file.name[:2]) for file in NOTEBOOKS] == list(range(1, 11))
    assert not list((ROOT / "notebooks").glob("*/")), "one folder of scripts"


@every
def test_it_is_a_lecture(file):
    """A title with its number, a question before the first code, pictures, and exercises at the end."""
    first, *_ = cells(file)
    assert first[0] == "[markdown]"
    assert first[1].startswith(f"# # {int(file.name[:2])}. ")
    assert "?" in first[1]
    text = prose(file)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    exercises = text.partition("\n## Exercises\n")[2]
    assert len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) == 5
    assert "placeholder" not in text.lower()
    assert len([text for head, text in cells(file) if text.endswith("\nfigure")]) >= 2


@every
def test_it_defines_nothing_that_the_package_should_have(file):
    for node in ast.walk(ast.parse(file.read_text())):
        assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef), f"line {node.lineno}"


@every
def test_it_imports_what_is_public(file):
    """Known libraries, and of the package what the docs name; each of it is there, and none of it is private."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= LIBRARIES | STANDARD | {"cnn_jax"}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            module = node.module or ""
            if not module.startswith("cnn_jax"):
                assert module.partition(".")[0] in LIBRARIES | STANDARD, f"line {node.lineno}"
                continue
            assert module in PUBLIC or module.startswith(PUBLIC_PACKAGES), f"line {node.lineno}: {module}"
            for alias in node.names:
                assert not alias.name.startswith("_")
                there = hasattr(importlib.import_module(module), alias.name)
                assert there or f"{module}.{alias.name}" in PUBLIC, f"{module} has no {alias.name}"
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), f"line {node.lineno}: {node.attr}"


@every
def test_it_downloads_nothing_and_writes_to_temporary_folders(file):
    text = file.read_text()
    assert not re.search(r"https?://|urllib|requests|tfds:", text)
    assert "cnn_jax.train" not in text.replace("cnn_jax.train.", "") or "TemporaryDirectory" in text


@every
def test_axes_are_labelled(file):
    """A cell that draws numbers names both axes."""
    for _, text in cells(file):
        if re.search(r"\.(plot|bar|semilogy|loglog|errorbar|hist)\(", text) and "panels(" not in text:
            assert re.search(r"xlabel|set_xticks\(.*\[", text), text
            assert re.search(r"ylabel", text), text


def test_lines_are_as_short_as_elsewhere():
    """Code is held by ruff; this holds the prose, which ruff leaves alone in comments that are Markdown."""
    for file in NOTEBOOKS:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            assert len(line) <= 120 or line.startswith("# |"), f"{file.name}:{number}"


@every
def test_the_page_shows_it(file):
    page = PAGE.read_text()
    assert f"(../notebooks/{file.name})" in page
    tagged = sum('"figure"' in head for head, _ in cells(file))
    assert tagged == 1
    assert f"(notebooks/{file.stem}.png)" in page


def test_figures_are_those_of_the_page():
    assert {figure.stem for figure in FIGURES.iterdir()} == {file.stem for file in NOTEBOOKS}
    for figure in FIGURES.iterdir():
        assert figure.stat().st_size < 100_000, figure.name
        with Image.open(figure) as image:
            assert min(image.size) >= 100


@every
def test_jupytext_reads_it(file):
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(file)
    assert [cell.cell_type == "markdown" for cell in notebook.cells] == [
        head.startswith("[markdown]") for head, _ in cells(file)
    ]
    assert notebook.cells[-1].cell_type == "markdown"


@pytest.mark.notebook
@every
def test_it_runs(file, tmp_path):
    """In a kernel of its own, from an empty folder, without a warning."""
    for library in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(library)
    # One device, as a reader has, and not the eight of these tests.
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    command = [sys.executable, "scripts/run_notebooks.py", f"--output={tmp_path}", file.stem]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / f"{file.stem}.ipynb").is_file()
