"""A notebook that is committed as a script (Jupytext's percent format), as a page: words and code, without outputs."""

from __future__ import annotations

import re

_CELL = re.compile(r"^# %%(.*)\n", re.MULTILINE)


def is_notebook(text: str) -> bool:
    """Whether a file of Python is a notebook."""
    return bool(_CELL.search(text))


def notebook(text: str) -> str:
    """The cells of a notebook, those of words as Markdown and those of code as code."""
    _, *cells = _CELL.split(text)
    return "\n\n".join(
        re.sub(r"^# ?", "", body, flags=re.MULTILINE).strip()
        if "[markdown]" in mark
        else f"```python\n{body.strip()}\n```"
        for mark, body in zip(cells[::2], cells[1::2], strict=True)
        if body.strip()
    )
