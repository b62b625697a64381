"""What an experiment claims, and what was found: its docstring read as data, and verdicts by comparison.

An experiment file asks one question. Its docstring is a sentence and then these fields, each beginning a line:

    Id: C20
    Claim: what is said to be so.
    Source: who says it, and where.
    Published: the numbers.
    Rule: what decides the verdict; written before the run.
    Cost: what a run costs.
    Gpu: what it costs at the paper's scale, `get_config("gpu")`; left out where there is no such form.

`claim()` of an exact claim measures and judges; `claim(results)` of a trained one judges the tidy table of its sweep.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import re
import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.errors import ConfigError

REPRODUCED, NOT_REPRODUCED, NOT_SEPARATED = "reproduced", "not reproduced", "not separated"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, NOT_SEPARATED)
_FIELDS = ("Id", "Claim", "Source", "Published", "Rule", "Cost")
LAPTOP, GPU = PRESETS = ("laptop", "gpu")
"""At which scale a trained claim is run: one that two CPU cores bear, or the paper's."""


class Compared(NamedTuple):
    """One published number and ours.

    Attributes:
        what: what is counted or measured.
        published: as the source has it.
        measured: by this code.
        holds: whether they agree as far as the source's digits go.
    """

    what: str
    published: Any
    measured: Any
    holds: bool


class Finding(NamedTuple):
    """What a claim came to.

    Attributes:
        verdict: one of `VERDICTS`.
        says: the numbers in a few words, for the ledger.
        compared: every number by itself.
    """

    verdict: str
    says: str
    compared: tuple[Compared, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON data."""
        # Comparing NumPy's numbers gives NumPy's truth, which JSON does not know.
        compared = [row._asdict() | {"holds": bool(row.holds)} for row in self.compared]
        return {"verdict": self.verdict, "says": self.says, "compared": compared}


class Question(NamedTuple):
    """An experiment file, read but not run.

    Attributes:
        name: of the file, without its ending.
        file: where it is.
        title: the docstring's first line.
        id: its number in the ledger.
        claim: what is said to be so.
        source: who says it, and where.
        published: the numbers, in words.
        rule: what decides.
        cost: of a run.
        exact: whether nothing is trained.
        gpu: the cost of a run at the paper's scale; empty where there is no such form.
    """

    name: str
    file: Path
    title: str
    id: str
    claim: str
    source: str
    published: str
    rule: str
    cost: str
    exact: bool
    gpu: str = ""

    def experiment(self, preset: str) -> str:
        """What names the experiment at this scale, `FILE.py` or `FILE.py:gpu`.

        Raises:
            ConfigError: the claim has no such scale.
        """
        if preset == LAPTOP:
            return str(self.file)
        if preset != GPU or not self.gpu:
            raise ConfigError(176, f"{self.name} has no preset {preset!r}: {self.file} has no line Gpu:, use {LAPTOP}")
        return f"{self.file}:{preset}"

    def judge(self, results: Any = None) -> Finding:
        """Calls the file's `claim`, with the tidy table of the sweep unless the claim is exact.

        Raises:
            ConfigError: `claim` returns no Finding, or one with another verdict than `VERDICTS`.
        """
        claim = runpy.run_path(str(self.file))["claim"]
        found = claim() if self.exact else claim(results)
        if not isinstance(found, Finding) or found.verdict not in VERDICTS:
            raise ConfigError(170, f"claim of {self.file} must return a Finding with one of {', '.join(VERDICTS)}")
        return found


def compare(
    what: str, published: Any, measured: Any, *, digits: int | None = None, significant: int | None = None
) -> Compared:
    """A published number beside ours.

    Args:
        what: what is counted.
        published: a number, or a sequence of numbers or words.
        measured: ours, of the same kind.
        digits: places after the point that the source prints; ours holds if it rounds to the same. None: exactly equal.
        significant: the same, counted from the first digit that is not 0.
    """

    def rounded(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [rounded(entry) for entry in value]
        if isinstance(value, str):
            return value
        if significant is not None and value:
            return round(value, significant - 1 - math.floor(math.log10(abs(value))))
        return value if digits is None else round(value, digits)

    return Compared(what, published, measured, rounded(published) == rounded(measured))


def all_hold(says: str, compared: Iterable[Compared]) -> Finding:
    """The verdict of an exact claim: reproduced if every number agrees, else not."""
    rows = tuple(compared)
    return Finding(REPRODUCED if rows and all(row.holds for row in rows) else NOT_REPRODUCED, says, rows)


def read_question(file: Path) -> Question | None:
    """An experiment's question, from its source alone; None for a sweep that claims nothing.

    Raises:
        ConfigError: the file is no Python, or its docstring lacks a field.
    """
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(171, f"experiment {file} is not Python: {error}") from error
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if "claim" not in functions:
        return None
    doc = inspect.cleandoc(ast.get_docstring(tree) or "")
    found = {field: _field(doc, field) for field in _FIELDS}
    missing = [field for field, text in found.items() if not text]
    if missing:
        raise ConfigError(172, f"the docstring of {file} has no {', '.join(f'{field}:' for field in missing)}")
    exact = not functions["claim"].args.args
    if not exact and not {"sweep", "get_hyper"} & functions.keys():
        raise ConfigError(173, f"{file} has claim(results) and no sweep(add) that would make the results")
    fields = {field.lower(): text for field, text in found.items()}
    return Question(name=file.stem, file=file, title=doc.splitlines()[0], exact=exact, gpu=_field(doc, "Gpu"), **fields)


def read_questions(directory: Path) -> list[Question]:
    """Every question of a folder of experiments, by number.

    Raises:
        ConfigError: a file whose docstring lacks a field, or two with one number.
    """
    questions = [question for file in sorted(directory.glob("*.py")) if (question := read_question(file))]
    questions.sort(key=lambda question: _order(question.id))
    for one, other in itertools.pairwise(questions):
        if one.id == other.id:
            raise ConfigError(174, f"{one.file} and {other.file} are both {one.id}: give one another number")
    return questions


def _field(doc: str, field: str) -> str:
    """The text after `Field:`, up to the next field or an empty line."""
    match = re.search(rf"^{field}: (.*?)(?=^[A-Z][a-z]+: |^\s*$|\Z)", doc, re.MULTILINE | re.DOTALL)
    return " ".join(match[1].split()) if match else ""


def _order(number: str) -> tuple[str, int]:
    letters = number.rstrip("0123456789")
    return letters, int(number[len(letters) :] or 0)
