"""One look for every matplotlib figure: legible in print, in grey and to colour-blind readers. No pyplot, no display.

The report's figures are SVG of its own (`report/svg.py`); pictures made of images, and plots beside them, are drawn
with this.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, "Color Universal Design", black first and yellow (pale on paper) last.
PALETTE = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SEQUENTIAL = "cividis"
"""A colour map for magnitudes, even in grey and to every eye."""
DIVERGING = "RdBu_r"
"""A colour map for signed values, white at zero."""
_NOTEBOOK_DPI = 100


def _look() -> dict[str, Any]:
    from cycler import cycler

    return {
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "font.size": 9,
        "image.cmap": SEQUENTIAL,
        "image.interpolation": "nearest",
        "savefig.dpi": 150,
        "svg.hashsalt": "cnn_jax",
        # Text from users: a class called "$x" is a name and no formula.
        "text.parse_math": False,
    }


@contextmanager
def style() -> Iterator[None]:
    """Within this context, figures have the project's look."""
    import matplotlib

    look: Any = _look()
    with matplotlib.rc_context(look):
        yield


def notebook() -> None:
    """Gives all further figures of this session the project's look; a notebook shows those that a cell ends with.

    Figures made by `new_figure` have no display of their own, pyplot is not needed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    look: Any = _look()
    matplotlib.rcParams.update(look)
    ipython = sys.modules.get("IPython")  # imported by whoever runs a notebook, and needed by nobody else
    shell = ipython and ipython.get_ipython()
    if shell is not None:
        shell.display_formatter.formatters["image/png"].for_type(Figure, _png)


def _png(figure: Figure) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=_NOTEBOOK_DPI, metadata={"Software": None})
    return written.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; make it and draw on it within `style()`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, file: Path) -> None:
    """Writes a figure as what the file's ending says, always the same bytes for the same figure."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # SVG and PDF name the date and the program otherwise.
    metadata = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}.get(file.suffix, {})
    figure.savefig(file, metadata=metadata)
