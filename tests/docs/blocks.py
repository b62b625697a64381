"""The fenced blocks of a page: which commands it shows, and which files it has its reader write."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block: its language, the file it is to be saved as ("" if none), and its text."""

    language: str
    file: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text())]


def commands(page: Path) -> list[list[str]]:
    """Every `cnn-jax` command of a page's shell, as its arguments."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    # What stands in front of a command (a variable, `until`) and behind it (`|| ...`, `; do`, `>`) is the shell's.
    found = [re.search(r"\bcnn-jax (.*?)(?=\s\|\||;|\s>|\s&|$)", line.partition(" #")[0]) for line in lines]
    return [shlex.split(match[1]) for match in found if match and "pip install" not in match.string]


def files(page: Path) -> dict[str, str]:
    """What the reader is told to save, by name."""
    return {block.file: block.text for block in blocks(page) if block.file}
