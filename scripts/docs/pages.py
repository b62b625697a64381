"""All pages of the site that no file of `docs/` holds."""

from __future__ import annotations

from scripts.docs.command_page import command_page
from scripts.docs.config_page import config_page
from scripts.docs.error_page import error_page
from scripts.docs.file_pages import ROOT, claims_page, file_page, file_uri, recipes_page, shown_files
from scripts.docs.model_page import model_page
from scripts.docs.places import GENERATED, docs_pages, lead_into_site, linked_file, links, place
from scripts.docs.python_page import PACKAGES, experiments_page, package_page, python_page
from scripts.docs.readme_pages import HOME, home_with_links, readme_pages


def generated_pages() -> dict[str, str]:
    """Markdown of every page that is made when the site is built, by its place in the site."""
    told = readme_pages((ROOT / "README.md").read_text(encoding="utf-8"))
    told |= {
        page: (ROOT / file).read_text(encoding="utf-8") for file, page in GENERATED.items() if file.endswith(".md")
    }
    written = {page: file.read_text(encoding="utf-8") for page, file in docs_pages().items()}
    pages = {
        "claims.md": claims_page(),
        "recipes.md": recipes_page(),
        "reference/commands.md": command_page(),
        "reference/config.md": config_page(),
        "reference/errors.md": error_page(),
        "reference/models.md": model_page(),
        "reference/python.md": python_page(),
        "reference/experiments.md": experiments_page(),
        **{f"reference/{name}.md": package_page(name) for name in PACKAGES},
    }
    files = {file_uri(path): path for path in [*shown_files(), *_linked(told | written)]}
    pages |= {uri: file_page(path) for uri, path in files.items()}
    pages |= {page: lead_into_site(text, page) for page, text in told.items()}
    pages[HOME] = home_with_links(pages[HOME])
    return pages


def _linked(pages: dict[str, str]) -> list[str]:
    """The files that pages link to and that have no other page."""
    found = [linked_file(page, target) for page, text in pages.items() for target, _ in links(text) if target]
    return [file for file in found if place(file) == file_uri(file)]
