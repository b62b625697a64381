"""Messages as the source has them, with a short name in braces for what is only known when they are raised."""

from __future__ import annotations

import ast


def template(node: ast.expr, known: dict[str, ast.expr] | None = None) -> str:
    """What an expression of text looks like: `f"{path.name} is empty"` is `{name} is empty`.

    Args:
        node: the expression.
        known: expressions that stand behind names, such as a variable that was assigned above.
    """
    known = known or {}
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(template(part, known) for part in parts)
        case ast.FormattedValue(value=ast.Constant(value=value)):
            return str(value)
        case ast.FormattedValue(value=ast.IfExp() as either):
            return template(either, known)
        case ast.FormattedValue(value=ast.Name() as name) if _is_known(name, known):
            return template(name, known)
        case ast.FormattedValue(value=value):
            return "{" + _short(value) + "}"
        case ast.IfExp(body=body, orelse=orelse):
            choices = [choice for choice in (template(body, known), template(orelse, known)) if choice]
            return choices[0] if len(choices) == 1 else f"({' | '.join(choices)})"
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return template(left, known) + template(right, known)
        case ast.Name(id=name) if _is_known(node, known):
            rest = {key: value for key, value in known.items() if key != name}
            return template(known[name], rest)
        case ast.Call(func=ast.Name(id=name)) if name in known:
            rest = {key: value for key, value in known.items() if key != name}
            return template(known[name], rest)
        case _:
            return "{" + _short(node) + "}"


def _is_known(node: ast.expr, known: dict[str, ast.expr]) -> bool:
    """Whether a name stands for text that is written in the source."""
    return isinstance(node, ast.Name) and isinstance(known.get(node.id), ast.Constant | ast.JoinedStr | ast.IfExp)


def _short(node: ast.expr) -> str:
    """A word for what an expression gives: the last name in it that says something."""
    match node:
        case ast.Name(id=name):
            return name.strip("_").lower()
        case ast.Attribute(attr=attr):
            return attr.strip("_").lower()
        case ast.Constant(value=value):
            return str(value)
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript(value=value) | ast.Starred(value=value) | ast.FormattedValue(value=value):
            return _short(value)
        case ast.Call(func=ast.Name(id="len"), args=[counted]):
            return f"number of {_short(counted)}"
        case ast.Call(func=ast.Name(id="map"), args=[_, things, *_]):
            return _short(things)
        case ast.Call(func=ast.Attribute(value=ast.Constant()), args=[joined]):
            return _short(joined)
        case ast.Call(args=[first, *_]):
            return _short(first)
        case ast.Call(func=function):
            return _short(function.value if isinstance(function, ast.Attribute) else function)
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return _short(first.iter)
        case ast.IfExp(body=body):
            return _short(body)
        case ast.BoolOp(values=[first, *_]):
            return _short(first)
        case ast.BinOp(left=left, right=right):
            return _short(right if isinstance(left, ast.Constant) else left)
        case _:
            return "…"
