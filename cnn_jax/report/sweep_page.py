"""The report of any sweep: its arms with their intervals, heat maps over pairs of settings, error against cost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cnn_jax.errors import CheckpointError
from cnn_jax.report import inside
from cnn_jax.report.results import RESULTS
from cnn_jax.report.scale import Scale, log_scale_around
from cnn_jax.report.svg import Drawing
from cnn_jax.report.sweep_results import (
    Arm,
    Axis,
    against_best,
    arms_of,
    axes_of,
    means_over,
    read_sweep,
    short,
    split_of,
)
from cnn_jax.report.words import count, duration, percent, plus_minus, round_count
from cnn_jax.sweep.statistics import Difference

REPORT = "report.html"
_MAPS = 6


def write_sweep_report(workdir: Path | str) -> Path:
    """Writes `report.html` of a sweep from its `results.json`; it is there whole or not at all.

    Args:
        workdir: the sweep's workdir.

    Raises:
        CheckpointError: the results are missing or damaged, or the report cannot be written.
    """
    workdir = Path(workdir)
    page = render_sweep(read_sweep(workdir / RESULTS), workdir)
    report, partial = workdir / REPORT, workdir / f".{REPORT}.partial"
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(report)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(135, f"cannot write {report}: {error.strerror}") from error
    return report


def render_sweep(document: Mapping[str, Any], workdir: Path) -> str:
    """The page as text; the same results, and pictures in the runs' workdirs, give the same text."""
    import jinja2  # with its templates, so that importing the report costs nothing

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cnn_jax.report"),
        autoescape=True,  # labels, paths and errors are other people's text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cells = document["cells"]
    split = split_of(cells)
    arms, axes = arms_of(cells, split), axes_of(cells)
    pairs = list(itertools.combinations(axes, 2))
    return environment.get_template("sweep.html.j2").render(
        views=inside.views(inside.runs_of_sweep(document, workdir), workdir),
        name=document["experiment"],
        data=document.get("data") or "",
        split=split,
        device=_device(document.get("environment") or {}),
        done=sum(cell["status"] == "done" for cell in cells),
        cells=len(cells),
        seconds=duration(sum(cell.get("seconds") or 0.0 for cell in cells)),
        rows=[_row(arm, difference) for arm, difference in zip(arms, against_best(arms), strict=True)],
        single=[_single(cells, axis, split) for axis in axes],
        maps=[_map(cells, pair, split) for pair in pairs[:_MAPS]],
        more_maps=max(0, len(pairs) - _MAPS),
        figure=_cost_figure([arm for arm in arms if arm.errors], split),
        undone=[cell for cell in cells if cell["status"] != "done"],
        illegal=document.get("illegal") or [],
    )


def _row(arm: Arm, difference: Difference | None) -> dict[str, Any]:
    cell = arm.cells[0]
    seeds = [{"seed": c["seed"], "link": c["id"] + "/", "value": percent(arm.errors.get(c["seed"]))} for c in arm.cells]
    verdict = ""
    if difference is not None:
        by = f"{100 * difference.mean:+.2f} points"
        verdict = f"worse, {by}" if difference.separated else f"not separated at n={difference.n}, {by}"
    return {
        "label": arm.label,
        "error": plus_minus(arm.error) if arm.error else "–",
        "seeds": seeds,
        "params": f"{cell['params']:,}",
        "macs": count(cell["macs"]),
        "field": "–" if cell.get("receptive_field") is None else f"{cell['receptive_field']:g}",
        "verdict": verdict,
        "worse": difference is not None and difference.separated,
    }


def _single(cells: Sequence[Mapping[str, Any]], axis: Axis, split: str) -> dict[str, Any]:
    """One setting: mean error at each of its values over whatever else was swept."""
    found = means_over(cells, [axis], split)
    return {"key": short(axis.key), "values": [(value, percent(mean), n) for (value,), (mean, n) in found.items()]}


def _map(cells: Sequence[Mapping[str, Any]], axes: tuple[Axis, Axis], split: str) -> dict[str, Any]:
    """Two settings: a table whose shades go from the lowest mean error to the highest."""
    found = means_over(cells, axes, split)
    lowest, highest = (choose(mean for mean, _ in found.values()) if found else 0.0 for choose in (min, max))

    def entry(at: tuple[str, str]) -> dict[str, Any]:
        if at not in found:
            return {"text": "", "share": None, "title": "no cell is done"}
        mean, n = found[at]
        share = (mean - lowest) / (highest - lowest) if highest > lowest else 0.0
        return {"text": percent(mean), "share": f"{100 * share:.0f}", "title": f"mean of {n} cell{'s' * (n > 1)}"}

    down, across = axes
    rows = [(value, [entry((value, other)) for other in across.values]) for value in down.values]
    return {"down": short(down.key), "across": short(across.key), "columns": across.values, "rows": rows}


def _cost_figure(arms: Sequence[Arm], split: str) -> Markup | None:
    """Mean error of every arm against the multiply-accumulates of one image."""
    points = [(arm, arm.cells[0]["macs"], arm.error.mean) for arm in arms if arm.error and arm.cells[0]["macs"] > 0]
    if len(points) < 2:
        return None
    left, right, top, bottom = 52, 708, 14, 340
    drawing = Drawing(720, 392, f"{split} error against multiply-accumulates")
    errors = [error for _, _, error in points]
    margin = max(0.01, 0.05 * (max(errors) - min(errors)))
    y = Scale(max(0.0, min(errors) - margin), max(errors) + margin, bottom, top)
    x = log_scale_around([macs for _, macs, _ in points], left, right)
    for tick in y.ticks(6):
        drawing.line([(left, y(tick)), (right, y(tick))], "grid")
        drawing.text((left - 8, y(tick) + 4.5), f"{100 * tick:.3g}", "tick", "end")
    for tick in x.ticks():
        drawing.line([(x(tick), top), (x(tick), bottom)], "grid")
        drawing.text((x(tick), bottom + 19), round_count(tick), "tick")
    drawing.text(((left + right) / 2, bottom + 43), "multiply-accumulates (MACs) per image, logarithmic", "axis")
    drawing.text((13, (top + bottom) / 2), f"{split} error (%)", "axis", turn=-90)
    for arm, macs, error in points:
        words = f"{arm.label}: {count(macs)} MACs, {percent(error)} % error"
        drawing.marker((x(macs), y(error)), 2, 4, "dot s6", words, arm.cells[0]["id"] + "/")
    return drawing.svg()


def _device(environment: Mapping[str, Any]) -> str:
    versions = environment.get("versions") or {}
    named = [f"{name} {versions[name]}" for name in ("jax", "flax") if versions.get(name)]
    devices = ", ".join(dict.fromkeys(environment.get("devices") or []))
    commit = environment.get("commit") or ""
    parts = [devices, *named, f"commit {commit[:10]}{'+' * commit.endswith('+')}" if commit else ""]
    return " · ".join(part for part in parts if part)
