"""The whole site, built as `make docs` builds it: no warning, nothing fetched, every link and picture there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.blocks import ROOT

pytest.importorskip("mkdocs", reason="make docs installs it")
pytest.importorskip("material", reason="make docs installs it")
pytest.importorskip("mkdocstrings", reason="make docs installs it")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={folder}"]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_links_and_pictures_are_there(site):
    """As files: a page that is opened from a disk has no server to complete an address."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue  # served by a server, from its root
        for target in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text()):
            target = unquote(unescape(target))
            if not re.match(r"(https?|mailto|data):", target):
                assert (page.parent / target).is_file(), f"{page.relative_to(site)}: {target}"


def test_nothing_is_fetched(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.search(r'<(script|img|iframe)[^>]+src="https?:', text), page
        assert not re.search(r'<link[^>]+rel="(stylesheet|preconnect|preload)"[^>]+href="https?:', text), page


def test_the_search_knows_every_page(site):
    index = json.loads((site / "search" / "search_index.js").read_text().removeprefix("var __index = "))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"tutorial.html", "reference/config.html", "reference/errors.html", "howto/faults.html"} <= found
    assert any("E-DATA-07" in entry["text"] for entry in index["docs"])
