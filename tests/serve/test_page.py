"""The page itself: nothing from elsewhere, nothing that runs but its own script, legible colours."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from cnn_jax.plotting import PALETTE
from cnn_jax.serve.page import page


class Reader(HTMLParser):
    """Tags with their attributes, and the text of style and script."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open in ("style", "script"):
            self.text[self._open] = self.text.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = ""


@pytest.fixture(scope="module")
def reader():
    return Reader(page()[0].decode())


def test_the_policy_knows_style_and_script_and_nothing_else(reader):
    policy = dict(part.strip().split(" ", 1) for part in page()[1].split(";"))
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(reader.text[tag].encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
        assert sum(name == tag for name, _ in reader.tags) == 1
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in page()[1]


def test_nothing_comes_from_elsewhere_and_text_is_inserted_as_text(reader):
    for tag, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert "src" not in attributes
        assert attributes.get("href", "data:,") == "data:,"
    assert not re.search(r"https?://|//\w+\.\w|@import|url\(", page()[0].decode())
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", reader.text["script"]
    )


def test_every_element_that_the_script_asks_for_is_there(reader):
    known = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    asked = set(re.findall(r'(?:\bat|\bsay)\("([\w-]+)"', reader.text["script"]))
    assert asked <= known
    labels = {attributes.get("for") for tag, attributes in reader.tags if tag == "label"}
    assert {"file", "tap", "bar"} <= labels & known


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_are_legible_by_day_and_by_night(reader):
    themes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", reader.text["style"], re.S)
    ]
    assert len(themes) == 2
    for theme in themes:
        for ground in ("paper", "shade"):
            for words in ("ink", "soft", "bad"):
                assert contrast(theme[words], theme[ground]) >= 4.5, (words, ground)
            # Bars are graphics; the number stands beside each.
            assert contrast(theme["blue"], theme[ground]) >= 3
        assert contrast(theme["on-blue"], theme["blue"]) >= 4.5
        assert {theme["blue"], theme["sky"]} <= set(PALETTE)
