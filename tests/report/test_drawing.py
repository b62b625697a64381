from __future__ import annotations

import itertools
import math
import re
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_jax.report.labels import place_labels
from cnn_jax.report.scale import Scale, linear_ticks, log_ticks
from cnn_jax.report.svg import MARKERS, Drawing

STYLE = (files("cnn_jax.report") / "templates" / "style.css").read_text(encoding="utf-8")


def palettes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(blocks) == 3
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for name, block in zip(("light", "dark", "print"), blocks, strict=True)
    }


def linear_rgb(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG 2.2 contrast ratio."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    light, dark = sorted((float(weights @ linear_rgb(c)) for c in (a, b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_colours_stand_out_from_the_paper(name: str):
    colours = palettes()[name]
    for key in ("ink", "soft", "link", "good", "bad"):
        assert contrast(colours[key], colours["paper"]) >= 4.5, key  # WCAG 1.4.3, text
        assert contrast(colours[key], colours["shade"]) >= 4.5, key
    for k in range(9):
        assert contrast(colours[f"s{k}"], colours["paper"]) >= 3.0, k  # WCAG 1.4.11, graphics


# Machado, Oliveira & Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson 2020: linear RGB into a space where distances are those seen."""
    lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(lab) @ np.cbrt(np.array(lms) @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("name", ["light", "dark", "print"])
@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_for_everybody(name: str, vision: str):
    colours = [oklab(np.array(VISION[vision]) @ linear_rgb(palettes()[name][f"s{k}"])) for k in range(9)]
    nearest = min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(colours, 2))
    assert nearest > 0.075  # a just noticeable difference is about 0.02


def test_markers_tell_networks_apart_without_colour():
    assert len(MARKERS) == 9
    assert len({tuple(np.round(m, 3).ravel()) for m in MARKERS}) == 9


def test_text_is_escaped_and_links_are_attributes():
    drawing = Drawing(10, 10, 'a"<b>')
    drawing.text((1, 1), "<script>")
    drawing.marker((1, 1), 0, 1, "dot", title="<x>", href='"onload="x')
    svg = str(drawing.svg())
    assert "<script>" not in svg
    assert "<x>" not in svg
    assert '"onload' not in svg
    assert 'aria-label="a&#34;&lt;b&gt;"' in svg


@given(st.floats(0, 1e3), st.floats(1e-3, 1e3), st.integers(2, 8))
def test_linear_ticks_are_few_even_and_within(lo: float, span: float, count: int):
    ticks = linear_ticks(lo, lo + span, count)
    assert 1 <= len(ticks) <= 2 * count + 1
    assert all(lo - 1e-6 * (lo + span) <= t <= (lo + span) * (1 + 1e-6) for t in ticks)
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[:1] if len(steps) else 0)


@given(st.floats(1e-4, 1e6), st.floats(1.5, 1e6))
def test_log_ticks_are_within(lo: float, factor: float):
    assert all(lo * 0.998 <= t <= lo * factor * 1.002 for t in log_ticks(lo, lo * factor))


def test_ticks_worth_reading():
    assert linear_ticks(0, 0.95, 6) == [0, 0.2, 0.4, 0.6, 0.8]
    assert linear_ticks(0, 5, 5) == [0, 1, 2, 3, 4, 5]
    assert log_ticks(0.01, 1) == pytest.approx([0.01, 0.03, 0.1, 0.3, 1])


def test_a_log_scale_gives_equal_lengths_to_equal_ratios():
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale(v) for v in (1, 10, 100)] == pytest.approx([0, 100, 200])
    assert scale(1000) == 200  # what is outside is drawn at the end
    assert Scale(0, 2, 10, 0)(1) == 5


def test_names_do_not_cover_each_other():
    generator = np.random.default_rng(3)
    for _ in range(20):
        points = [(float(x), float(y)) for x, y in generator.uniform((60, 20), (400, 280), (9, 2))]
        names = ["Linear", "MLP", "LeNet-5", "AlexNet", "ZFNet", "VGG", "GoogLeNet", "ResNet", "Xception"]
        placed = place_labels(points, names, [], (50, 10, 430, 300), 13)
        boxes = []
        for ((x, y), anchor), name in zip(placed, names, strict=True):
            width = 7.5 * len(name)
            left = x - width * {"start": 0, "middle": 0.5, "end": 1}[anchor]
            boxes.append((left, y - 10, left + width, y + 2))
        covered = sum(
            max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
            for a, b in itertools.combinations(boxes, 2)
        )
        total = sum((b[2] - b[0]) * (b[3] - b[1]) for b in boxes)
        assert covered < 0.03 * total
        assert all(math.isfinite(v) for box in boxes for v in box)
