"""Where a file of the repository is in the site, and links that lead there.

Pages are written for a reader of the repository: a link names a file from where the page is. In the site the same link
leads to the page that shows that file, or what is made from it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from scripts.docs.file_pages import ROOT, file_uri
from scripts.docs.readme_pages import HOME, RESULTS, USE

GENERATED = {
    "cnn_jax/schema.py": "reference/config.md",
    "cnn_jax/main.py": "reference/commands.md",
    "cnn_jax/errors.py": "reference/errors.md",
    "cnn_jax/__init__.py": "reference/python.md",
    "cnn_jax/models/__init__.py": "reference/models.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
ORIGINS = {HOME: "README.md", RESULTS: "README.md", USE: "README.md"} | {
    page: file for file, page in GENERATED.items() if file.endswith(".md")
}
"""Pages whose text is a file outside `docs/`: their links start from there."""
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#:]*)(?P<anchor>#[^)\s]*)?(?P<after>\))")
_CODE = re.compile(r"(^```.*?^```$|^    .*?$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def origin(page: str) -> str:
    """The file of the repository that a page of the site was written as."""
    return ORIGINS.get(page, f"docs/{page}")


def place(file: str, anchor: str = "") -> str | None:
    """The page or picture of the site that stands for a file of the repository; None if there is no such file."""
    if file == "README.md":
        return RESULTS if anchor == "#what-came-out" else USE if anchor else HOME
    if file in GENERATED:
        return GENERATED[file]
    if file.startswith("docs/"):
        return file.removeprefix("docs/") if (ROOT / file).is_file() else None
    return file_uri(file) if (ROOT / file).is_file() else None


def links(markdown: str) -> list[tuple[str, str]]:
    """Target and anchor of every relative link of a page outside of code; `("", "#x")` is in the page itself."""
    return [
        (match["target"], match["anchor"] or "")
        for match in _LINK.finditer(_CODE.sub("", markdown))
        if match["target"] or match["anchor"]
    ]


def linked_file(page: str, target: str) -> str:
    """The file of the repository that a link of a page names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin(page)), target))


def lead_into_site(markdown: str, page: str) -> str:
    """The page with its links leading to pages of the site. Links that lead nowhere stay, for the build to refuse."""

    def led(match: re.Match[str]) -> str:
        anchor = match["anchor"] or ""
        if not match["target"]:
            return match[0]
        uri = place(linked_file(page, match["target"]), anchor)
        if uri is None:
            return match[0]
        here = posixpath.dirname(page) or "."
        return f"{match['before']}{posixpath.relpath(uri, here)}{anchor}{match['after']}"

    pieces = _CODE.split(markdown)
    return "".join(piece if _CODE.fullmatch(piece) else _LINK.sub(led, piece) for piece in pieces)


def docs_pages() -> dict[str, Path]:
    """The pages that are written by hand, by their place in the site."""
    docs = ROOT / "docs"
    return {file.relative_to(docs).as_posix(): file for file in sorted(docs.rglob("*.md"))}
