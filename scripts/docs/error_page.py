"""Every error a user can meet, read from the source: code, message and exit status."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cnn_jax
from cnn_jax import errors
from scripts.docs.markdown import table, words
from scripts.docs.templates import template

_INTRODUCTION = """# Errors

A message is one line: its code, what is wrong, where, and what would be right. Codes stay; search this page for yours.
In braces stands what depends on the case. `--debug` shows the traceback. What to do about the commonest:
[Resuming and faults](../howto/faults.md).

"""
PACKAGE = Path(cnn_jax.__file__).parent
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.CnnJaxError) and kind is not errors.CnnJaxError
}


class Raised(NamedTuple):
    """One place that raises an error.

    Attributes:
        area: of the code, such as DATA.
        number: of the code.
        message: with a name in braces for what is only known when it is raised.
        module: where it stands.
    """

    area: str
    number: int
    message: str
    module: str

    @property
    def code(self) -> str:
        """Such as E-DATA-03."""
        return f"E-{self.area}-{self.number:02d}"


def error_page() -> str:
    """The page."""
    found = sorted({(e.area, e.number, e.message) for e in raised()})
    parts = [
        _INTRODUCTION,
        "## Exit statuses\n\n",
        table(("status", "what"), [("0", "done"), ("1", "not all was done; see the lines above"), *_statuses()]),
    ]
    for kind in sorted(CLASSES.values(), key=lambda kind: (kind.exit_status, kind.area)):
        rows: dict[str, list[str]] = {}
        for area, number, message in found:
            if area == kind.area:
                rows.setdefault(f"E-{area}-{number:02d}", []).append(words(message))
        parts.append(f"\n## E-{kind.area}: exit status {kind.exit_status}\n\n{_summary(kind)}\n\n")
        parts.append(
            table(
                ("code", "message"),
                [(f'<span id="{key}">`{key}`</span>', "<br>".join(said)) for key, said in rows.items()],
            )
        )
    return "".join(parts)


def _statuses() -> list[tuple[str, str]]:
    """Exit statuses and the classes of errors that end with them; 130 is the shell's own."""
    first: dict[int, str] = {}
    for kind in CLASSES.values():
        first.setdefault(kind.exit_status, _summary(kind))
    return [
        *((str(status), words(what)) for status, what in sorted(first.items())),
        ("130", "Ctrl-C, outside training"),
    ]


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").splitlines()[0].partition(" Exit status")[0]


@functools.cache
def raised() -> tuple[Raised, ...]:
    """Every call of the package that makes an error with a number of its own."""
    return tuple(_raised())


def _raised() -> Iterator[Raised]:
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        outer = _returns(tree) | _assigned(tree.body)
        yield from _in(tree, outer, module)


def _in(scope: ast.AST, known: dict[str, ast.expr], module: str) -> Iterator[Raised]:
    """The errors made in a module or function, whose own assignments hide those around it."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.FunctionDef):
            inside = [child for child in ast.walk(node) if isinstance(child, ast.stmt)]
            yield from _in(node, known | _assigned(inside), module)
            continue
        if isinstance(node, ast.Call):
            yield from _error(node, known, module)
        yield from _in(node, known, module)


def _error(call: ast.Call, known: dict[str, ast.expr], module: str) -> Iterator[Raised]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name not in CLASSES or len(call.args) < 2:
        return
    for number in _numbers(call.args[0]):
        yield Raised(CLASSES[name].area, number, template(call.args[1], known), module)


def _numbers(node: ast.expr) -> list[int]:
    """The numbers an expression can be; none where an error is made again from another."""
    match node:
        case ast.Constant(value=int(number)):
            return [number]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_numbers(body), *_numbers(orelse)]
        case _:
            return []


def _assigned(statements: list[ast.stmt]) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in statements
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _returns(tree: ast.Module) -> dict[str, ast.expr]:
    """Functions of the module that end by returning text: the name, and what is returned."""
    return {
        node.name: node.body[-1].value
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return) and node.body[-1].value
    }
