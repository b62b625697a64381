"""What a command is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Command(NamedTuple):
    """One command of the command line.

    Attributes:
        name: as typed.
        summary: one line for `--help`.
        arguments: adds the command's options to its parser.
        run: `(options, overrides) -> exit status`; overrides are `KEY=VALUE` strings.
        takes_overrides: whether `--config.KEY=VALUE` means something to it.
    """

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, list[str]], int | None]
    takes_overrides: bool = False


def add_json(parser: argparse.ArgumentParser) -> None:
    """The `--json` option of every command that reports."""
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def print_json(value: Any) -> None:
    """Prints the one JSON document of `--json`."""
    print(json.dumps(value, indent=2))


def whole_numbers(text: str) -> tuple[int, ...]:
    """`224,224,3` as numbers; for argparse, which makes its one line of the error."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers such as 224,224,3") from None
