"""Where the names of points go so that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_jax.report.svg import Point

Box = tuple[float, float, float, float]

SWEEPS = 4  # each name is placed again, now that the others are known


def place_labels(
    points: Sequence[Point], names: Sequence[str], taken: Sequence[Box], frame: Box, size: float
) -> list[tuple[Point, str]]:
    """Places one name beside each point, each where it overlaps least with what is there already.

    Args:
        points: marker centres.
        names: one a point.
        taken: (left, top, right, bottom) of what else names should not cover.
        frame: (left, top, right, bottom) that names should stay within.
        size: height of the letters, in the drawing's units.

    Returns:
        For each point, the text's position on its base line and its anchor.
    """
    fixed: list[Box] = [(x - 9, y - 9, x + 9, y + 9) for x, y in points] + list(taken)
    placed: dict[int, tuple[Point, str]] = {}
    boxes: dict[int, Box] = {}
    for _ in range(SWEEPS):
        for k, (point, name) in enumerate(zip(points, names, strict=True)):
            width = 0.62 * size * len(name)
            others = [*fixed, *(box for j, box in boxes.items() if j != k)]
            at, anchor = min(
                _candidates(point, size), key=lambda c: _cost(_box(c[0], c[1], width, size), others, frame)
            )
            placed[k], boxes[k] = (at, anchor), _box(at, anchor, width, size)
    return [placed[k] for k in range(len(points))]


def _candidates(point: Point, size: float) -> list[tuple[Point, str]]:
    """Positions around a point, the preferred ones first."""
    x, y = point
    return [
        ((x + 13, y + 0.35 * size), "start"), ((x - 13, y + 0.35 * size), "end"),
        ((x, y - 14), "middle"), ((x, y + 14 + 0.75 * size), "middle"),
        ((x + 9, y - 11), "start"), ((x - 9, y - 11), "end"),
        ((x + 9, y + 11 + 0.6 * size), "start"), ((x - 9, y + 11 + 0.6 * size), "end"),
        ((x, y - 28), "middle"), ((x, y + 28 + 0.75 * size), "middle"),
    ]  # fmt: skip


def _box(at: Point, anchor: str, width: float, size: float) -> Box:
    left = at[0] - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
    return (left, at[1] - 0.8 * size, left + width, at[1] + 0.25 * size)


def _cost(box: Box, taken: Sequence[Box], frame: Box) -> float:
    covered = sum(_overlap(box, other) for other in taken)
    inside = _overlap(box, frame)
    return covered + 5 * ((box[2] - box[0]) * (box[3] - box[1]) - inside)


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
