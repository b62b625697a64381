"""The look of figures: distinguishable to every eye, the same bytes each time, names never read as formulas."""

from __future__ import annotations

import io
import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnn_jax import plotting


def _draw(file):
    with plotting.style():
        figure = plotting.new_figure(3, 2)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label="a $class called \\frac{1}{$")
        axes.legend()
        plotting.save(figure, file)
    return file.read_bytes()


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_figure_is_always_the_same_bytes(ending, tmp_path):
    first = _draw(tmp_path / f"a.{ending}")
    assert _draw(tmp_path / f"b.{ending}") == first


def test_pictures_are_of_the_size_asked_for(tmp_path):
    _draw(tmp_path / "new folder" / "a.png")
    with Image.open(tmp_path / "new folder" / "a.png") as image:
        assert image.size == (450, 300)


def test_a_notebook_shows_figures_in_the_look(monkeypatch):
    """IPython's own registry, asked as its kernel asks; the look stays on."""
    formatters = pytest.importorskip("IPython.core.formatters")
    import matplotlib

    shell = SimpleNamespace(display_formatter=formatters.DisplayFormatter())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with matplotlib.rc_context():
        plotting.notebook()
        assert matplotlib.rcParams["image.cmap"] == plotting.SEQUENTIAL
        figure = plotting.new_figure(3, 2)
        figure.subplots().plot([0, 1])
        shown, _ = shell.display_formatter.format(figure)
    with Image.open(io.BytesIO(shown["image/png"])) as image:
        assert image.size == (300, 200)


def test_a_script_gets_the_look_without_a_notebook(monkeypatch):
    import matplotlib

    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with matplotlib.rc_context():
        plotting.notebook()
        assert matplotlib.rcParams["axes.spines.top"] is False


def test_neighbouring_colours_differ_in_lightness():
    """Relative luminance (WCAG 2.1) of neighbours: they stay apart where colours are lost."""

    def luminance(colour: str) -> float:
        part = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for one, other in itertools.pairwise(plotting.PALETTE[:5]):
        assert abs(luminance(one) - luminance(other)) > 0.02
    assert len(set(plotting.PALETTE)) == len(plotting.MARKERS) == 8
