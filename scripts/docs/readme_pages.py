"""The README as pages: what it says is said once."""

from __future__ import annotations

import re

HOME, RESULTS, USE = "index.md", "results.md", "use.md"
_RESULTS = "## What came out"
_NEXT = """
## Where to go

- New here: [from nothing to a verdict](tutorial.md), in twenty minutes.
- With something of your own: [data](howto/own-data.md), [a network](howto/own-model.md),
  [a question](howto/own-experiment.md).
- [Using it](use.md): every command in a line, data, weights, what a run leaves behind.
- [What came out](results.md): the history's networks, and what papers claim.
- [Commands](reference/commands.md), [config keys](reference/config.md), [models](reference/models.md) and
  [errors](reference/errors.md), from the code.
"""


def readme_pages(readme: str) -> dict[str, str]:
    """The README cut into pages.

    Args:
        readme: its text.

    Returns:
        For each page its Markdown, whose links are still those of the README: what stands before the first section; the
        section of results, in which a section becomes a page; all others.
    """
    intro, *rest = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    results = "".join(part for part in rest if part.startswith(_RESULTS))
    others = "".join(part for part in rest if not part.startswith(_RESULTS))
    return {HOME: intro, RESULTS: results.replace("## ", "# ", 1), USE: f"# Using it\n\n{others}"}


def home_with_links(markdown: str) -> str:
    """The first page, with where to go from there in front of its picture."""
    words, *picture = re.split(r"^(?=!\[)", markdown, maxsplit=1, flags=re.MULTILINE)
    return f"{words.rstrip()}\n{_NEXT}\n{''.join(picture)}"
