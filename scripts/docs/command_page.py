"""Every command with its options, from the parsers of `cnn-jax`."""

from __future__ import annotations

import argparse

from cnn_jax.main import _parser
from scripts.docs.markdown import code, table, words

_WIDTH = 100  # characters of a line of usage
_INTRODUCTION = """# Commands

`cnn-jax COMMAND` is the same as `python -m cnn_jax COMMAND`. With `--json` standard output is one JSON document and
nothing else. Bad input is one line on standard error and an [exit status](errors.md#exit-statuses) above 0. Where a
command reads a config, `--config.KEY=VALUE` changes a [key](config.md) of it.

"""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command, by its name."""
    [commands] = [a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(commands.choices)


def command_page() -> str:
    """The page."""
    parts = [_INTRODUCTION]
    entries = parsers()
    rows = [(f"[`{name}`](#cnn-jax-{name})", words(parser.description or "")) for name, parser in entries.items()]
    parts.append(table(("command", "does"), rows))
    for name, parser in entries.items():
        parts.append(
            f"\n## cnn-jax {name}\n\n{sentence(parser.description or '')}\n\n```text\n{usage(parser)}\n```\n\n"
        )
        parts.append(table(("option", "default", "what"), options(parser)))
    return "".join(parts)


def sentence(text: str) -> str:
    """A summary as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def usage(parser: argparse.ArgumentParser) -> str:
    """The line or lines that show how a command is written."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=_WIDTH)
    shown = parser.format_usage().removeprefix("usage: ").strip()
    lines = [line.removeprefix(" " * len("usage: ")) for line in shown.splitlines()]
    return "\n".join([*lines, *(["    [--config.KEY=VALUE ...]"] if parser.get_default("takes_overrides") else [])])


def options(parser: argparse.ArgumentParser) -> list[tuple[str, str, str]]:
    """A row for every argument: how it is written, its default where it is not obvious, and what it does."""
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        value = action.metavar or ("" if action.nargs == 0 else (action.dest.upper()))
        if action.choices is not None:
            value = "{" + ",".join(map(str, action.choices)) + "}"
        if not action.option_strings:
            written = str(value)
        elif value:
            written = ", ".join(f"{flag}={value}" for flag in action.option_strings)
        else:
            written = ", ".join(action.option_strings)
        shown = action.default not in (None, False, argparse.SUPPRESS) and action.default != []
        default = code(action.default) if shown else "required" if action.required else ""
        rows.append((code(written), default, words((action.help or "") % {"default": action.default})))
    if parser.get_default("takes_overrides"):
        rows.append((code("--config.KEY=VALUE"), "", "changes a [key of the config](config.md)"))
    return rows
