"""The report of any sweep: arms with intervals and curves, each setting, pairs of settings, error against cost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import CheckpointError
from cnn_jax.report import inside
from cnn_jax.report.results import RESULTS
from cnn_jax.report.sweep_curves import MOST, curve_panels
from cnn_jax.report.sweep_figures import cost_figure
from cnn_jax.report.sweep_results import Axis, axes_of, means_over, read_sweep
from cnn_jax.report.sweep_settings import setting_figures
from cnn_jax.report.words import count, duration, interval_range, percent, plus_minus
from cnn_jax.sweep.arms import Arm, against_best, arms_of, seeds_needed, short, split_of
from cnn_jax.sweep.statistics import Difference

REPORT = "report.html"
_MAPS = 6
_SETTINGS = 8


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
    pairs = list(itertools.combinations((axis for axis in axes if not axis.searched), 2))
    return environment.get_template("sweep.html.j2").render(
        views=inside.views(inside.runs_of_sweep(document, workdir), workdir),
        name=document["experiment"],
        data=document.get("data") or "",
        split=split,
        device=_device(document.get("environment") or {}),
        done=sum(cell["status"] == "done" for cell in cells),
        cells=len(cells),
        seconds=duration(sum(cell.get("seconds") or 0.0 for cell in cells)),
        rows=[_row(arm, difference, arms) for arm, difference in zip(arms, against_best(arms), strict=True)],
        panels=curve_panels(arms, workdir),
        most_panels=MOST,
        settings=[_setting(cells, arms, axis, axes, split) for axis in axes[:_SETTINGS]],
        more_settings=max(0, len(axes) - _SETTINGS),
        maps=[_map(cells, pair, split) for pair in pairs[:_MAPS]],
        more_maps=max(0, len(pairs) - _MAPS),
        figure=cost_figure(arms, split),
        undone=[cell for cell in cells if cell["status"] != "done"],
        illegal=document.get("illegal") or [],
    )


def _row(arm: Arm, difference: Difference | None, arms: Sequence[Arm]) -> dict[str, Any]:
    cell, bootstrap = arm.cells[0], arm.bootstrap
    seeds = [{"seed": c["seed"], "link": c["id"] + "/", "value": percent(arm.errors.get(c["seed"]))} for c in arm.cells]
    verdict = effect = ""
    if difference is not None:
        by = f"{100 * difference.mean:+.2f} points"
        verdict = f"worse, {by}" if difference.separated else f"not separated at n={difference.n}, {by}"
        needed = seeds_needed(difference, arms)
        verdict += "" if needed is None else f" ({needed:,} seeds)"
        effect = "–" if difference.effect is None else f"{difference.effect:.2f}"
    return {
        "label": arm.label,
        "error": plus_minus(arm.error) if arm.error else "–",
        "bootstrap": "–" if bootstrap is None or bootstrap.lo is None else interval_range(bootstrap).removesuffix(" %"),
        "effect": effect,
        "seeds": seeds,
        "params": f"{cell['params']:,}",
        "macs": count(cell["macs"]),
        "field": "–" if cell.get("receptive_field") is None else f"{cell['receptive_field']:g}",
        "verdict": verdict,
        "worse": difference is not None and difference.separated,
    }


def _setting(
    cells: Sequence[Mapping[str, Any]], arms: Sequence[Arm], axis: Axis, axes: Sequence[Axis], split: str
) -> dict[str, Any]:
    """One setting: its figures, and the mean error at each of its values over whatever else was swept."""
    drawn, found = setting_figures(arms, axis, axes, split), means_over(cells, [axis], split)
    told = [(value, found[value,]) for value in axis.values if (value,) in found and not axis.searched]
    values = [(drawn.ticks.get(value, value), value, percent(mean), n) for value, (mean, n) in told]
    return {"key": short(axis.key), "figures": drawn.figures, "values": values}


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


def _device(environment: Mapping[str, Any]) -> str:
    versions = environment.get("versions") or {}
    named = [f"{name} {versions[name]}" for name in ("jax", "flax") if versions.get(name)]
    devices = ", ".join(dict.fromkeys(environment.get("devices") or []))
    commit = environment.get("commit") or ""
    parts = [devices, *named, f"commit {commit[:10]}{'+' * commit.endswith('+')}" if commit else ""]
    return " · ".join(part for part in parts if part)
