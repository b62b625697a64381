"""Makes the generated pages part of the build; MkDocs calls these functions (`hooks` in `mkdocs.yml`)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parents[2]))  # MkDocs reads a hook by its path

from scripts.docs.pages import generated_pages
from scripts.docs.places import docs_pages, lead_into_site

_OTHERS = "In depth"


def on_config(config: Any) -> Any:
    """Puts pages that `nav` does not name at the end of a section of it, so that none is lost."""
    listed = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    [section] = [entry[_OTHERS] for entry in config.nav if _OTHERS in entry]
    section += [page for page in docs_pages() if page not in listed]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages."""
    for uri, text in generated_pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leads links of hand-written pages into the site; those of generated ones already are."""
    uri = page.file.src_uri
    return lead_into_site(markdown, uri) if uri in docs_pages() else markdown
