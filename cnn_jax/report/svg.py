"""A small pen for inline SVG: escaped text, links, and colours left to the page's style sheet.

The figures are drawn here and not by a plotting library so that every dot links to its run, colours follow the reader's
light or dark theme, and one page can hold a wide and a narrow form of the same figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

Point = tuple[float, float]


class Drawing:
    """An SVG element under construction.

    Args:
        width: width of its coordinate system; the page scales it to the room there is.
        height: height of its coordinate system.
        label: what it shows, read aloud by screen readers.
        style: CSS classes.
    """

    def __init__(self, width: float, height: float, label: str, style: str = ""):
        self.width, self.height, self._label, self._style = width, height, label, style
        self._parts: list[Markup] = []

    def line(self, points: Iterable[Point], style: str) -> None:
        """A line through the points."""
        self._add("path", d=_path(points), **{"class": style})

    def area(self, upper: Sequence[Point], lower: Sequence[Point], style: str) -> None:
        """The area between two lines of the same abscissae."""
        self._add("path", d=_path([*upper, *reversed(lower)]) + "Z", **{"class": style})

    def text(self, at: Point, words: str, style: str = "", anchor: str = "middle", turn: float | None = None) -> None:
        """A line of text; `anchor` is `start`, `middle` or `end`, `turn` in degrees."""
        turned = {} if turn is None else {"transform": f"rotate({turn:g} {_n(at[0])} {_n(at[1])})"}
        attributes = {"x": _n(at[0]), "y": _n(at[1]), "class": style, "text-anchor": anchor, **turned}
        self._parts.append(Markup("<text{}>{}</text>").format(_attributes(attributes), words))

    def marker(self, at: Point, shape: int, radius: float, style: str, title: str = "", href: str = "") -> None:
        """One of the marker shapes, with a tooltip and a link if given."""
        d = _path([(at[0] + radius * x, at[1] + radius * y) for x, y in MARKERS[shape % len(MARKERS)]]) + "Z"
        inner = Markup("<title>{}</title>").format(title) if title else Markup("")
        drawn = Markup("<path{}>{}</path>").format(_attributes({"d": d, "class": style}), inner)
        self._parts.append(Markup('<a href="{}">{}</a>').format(href, drawn) if href else drawn)

    def svg(self) -> Markup:
        """The element."""
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}" class="{}">{}</svg>').format(
            _n(self.width), _n(self.height), self._label, self._style, Markup("").join(self._parts)
        )

    def _add(self, tag: str, **attributes: str) -> None:
        self._parts.append(Markup("<{0}{1}/>").format(Markup(tag), _attributes(attributes)))


def _attributes(values: dict[str, str]) -> Markup:
    return Markup("").join(Markup(' {}="{}"').format(Markup(k), v) for k, v in values.items() if v != "")


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _path(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _polygon(corners: int, turn: float = 0.0, size: float = 1.0) -> tuple[Point, ...]:
    angles = [2 * math.pi * (k / corners) + math.radians(turn - 90) for k in range(corners)]
    return tuple((size * math.cos(a), size * math.sin(a)) for a in angles)


def _star(tips: int, inner: float, size: float = 1.0, turn: float = 0.0) -> tuple[Point, ...]:
    both = zip(_polygon(tips, turn, size), _polygon(tips, turn + 180 / tips, size * inner), strict=True)
    return tuple(point for pair in both for point in pair)


# Of about equal area; told apart without colour.
MARKERS: tuple[tuple[Point, ...], ...] = (
    _star(4, 0.36, 1.35, 45),  # ×
    _star(4, 0.36, 1.35),  # +
    _polygon(24),  # disc
    _polygon(4, 45, 1.2),  # square
    _polygon(3, 0, 1.35),  # triangle
    _polygon(3, 180, 1.35),  # triangle pointing down
    _polygon(4, 0, 1.3),  # diamond
    _star(5, 0.45, 1.4),  # star
    _polygon(6, 0, 1.1),  # hexagon
)
