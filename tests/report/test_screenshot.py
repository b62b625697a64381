from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnn_jax.report import write_history_report

SCRIPT = Path(__file__).parents[2] / "scripts" / "screenshot.py"


@pytest.fixture
def script() -> Any:
    spec = importlib.util.spec_from_file_location("screenshot", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_browser_it_says_so(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"no browser on PATH \(looked for chromium, .*\): install"):
        script.screenshot(tmp_path / "report.html", tmp_path / "report.png")


def test_without_a_report_it_says_so(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(script.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(SystemExit, match=r"report\.html is missing: `make history` writes it"):
        script.screenshot(tmp_path / "report.html", tmp_path / "report.png")


@pytest.mark.skipif(not any(map(shutil.which, ("chromium", "google-chrome"))), reason="needs a browser")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_a_report_is_drawn(
    script: Any, document: dict[str, Any], write: Callable[[dict[str, Any]], Path], width: int, dark: bool
):
    report = write_history_report(write(document))
    image = report.parent / "docs" / "report.png"
    script.screenshot(report, image, width=width, height=900, dark=dark)
    with Image.open(image) as picture:
        assert picture.size == (width, 900)
        assert picture.getpixel((2, 2)) == ((0x14, 0x17, 0x1B) if dark else (255, 255, 255))  # the page's paper
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 50  # text and figures, not an empty page
