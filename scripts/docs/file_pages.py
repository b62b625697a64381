"""Pages of single files: experiments with what was found, configs, and whatever other file a page links to."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cnn_jax.sweep.claims import LAPTOP, PRESETS, Question, read_question, read_questions
from cnn_jax.sweep.ledger import committed
from scripts.docs.markdown import code, table, words
from scripts.docs.notebook_page import is_notebook, notebook

ROOT = Path(__file__).parents[2]
_CLAIMS = """# Claims

What papers and lectures say, as experiments. Each page has the rule that decides, written before the run, and the code.
How they are written and run: [Sweeps and claims](sweeps.md#a-claim).

"""
_RECIPES = """# Recipes

Configs that come with the code; `configs/papers/` has each paper's own, every number with its place.

"""
_WIDE = "---\nhide: [toc]\n---\n\n"  # lines of code are long
_FIELDS = ("claim", "source", "published", "rule", "cost", "gpu")
_LANGUAGES = {".py": "python", ".md": "markdown", ".json": "json", ".sh": "sh", ".toml": "toml"}


def file_uri(path: str) -> str:
    """The page that shows a file of the repository."""
    return f"files/{path.replace('.', '_')}.md"


def file_page(path: str) -> str:
    """A file's docstring, what was found if it is a claim, and its text; a notebook as what one reads."""
    file = ROOT / path
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py" and is_notebook(text):
        return f"{notebook(text)}\n\n`{path}`\n"
    question = read_question(file) if file.parent.name == "experiments" else None
    if question:
        body = _question(question)
    else:
        doc = ast.get_docstring(ast.parse(text)) if file.suffix == ".py" else None
        body = f"{doc}\n" if doc else ""
    fence = "````"
    return f"{_WIDE}# {path}\n\n{body}\n{fence}{_LANGUAGES.get(file.suffix, 'text')}\n{text}{fence}\n"


def _question(question: Question) -> str:
    rows = [(name, words(text)) for name in _FIELDS if (text := getattr(question, name))]
    for preset in PRESETS:
        scale = "" if preset == LAPTOP else f", {preset}"
        found = committed(question, preset)
        if found or preset == LAPTOP:
            rows.append((f"verdict{scale}", _verdict(found)))
        if found:
            rows.append((f"found{scale}", words(found["says"])))
    command = f"    cnn-jax claims --run {question.name}\n"
    return f"{table((question.id, words(question.title)), rows)}\n{command}"


def _verdict(found: dict[str, Any] | None) -> str:
    if not found:
        return "not run yet"
    n = "exact" if found["exact"] else f"n={found['n']}"
    return f"**{found['verdict']}** ({n})"


def claims_page() -> str:
    """Every experiment that claims something, with the verdict of its committed results."""
    rows = [
        (f"[{q.id}]({file_uri(f'experiments/{q.name}.py')})", words(q.title), words(q.source), _verdict(committed(q)))
        for q in read_questions(ROOT / "experiments")
    ]
    return _CLAIMS + table(("", "question", "source", "verdict"), rows)


def recipes_page() -> str:
    """Every config with the first line of its docstring."""
    rows = []
    for path in configs():
        doc = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""
        rows.append((f"[{code(path)}]({file_uri(path)})", words(doc.splitlines()[0])))
    return _RECIPES + table(("file", "what"), rows)


def configs() -> list[str]:
    """The configs, as paths of the repository."""
    return [str(file.relative_to(ROOT)) for file in sorted((ROOT / "configs").rglob("*.py"))]


def shown_files() -> Iterable[str]:
    """The files that have a page whether or not one links to them."""
    yield from configs()
    yield from (str(file.relative_to(ROOT)) for file in sorted((ROOT / "experiments").glob("*.py")))
