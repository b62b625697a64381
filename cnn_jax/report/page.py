"""The report of a sweep: one HTML file that needs nothing else to be read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.errors import CheckpointError
from cnn_jax.report import curves, figures, inside, tables, words
from cnn_jax.report.results import RESULTS, Results, read_results

REPORT = "report.html"


def write_history_report(workdir: Path | str) -> Path:
    """Writes `report.html` of a history from its `results.json`; it is there whole or not at all.

    Args:
        workdir: the history's workdir.

    Returns:
        The report.

    Raises:
        CheckpointError: the results are missing or damaged, or the report cannot be written.
    """
    workdir = Path(workdir)
    page = render(read_results(workdir / RESULTS), workdir)
    report, partial = workdir / REPORT, workdir / f".{REPORT}.partial"
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(report)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(23, f"cannot write {report}: {error.strerror}") from error
    return report


def render(results: Results, workdir: Path) -> str:
    """The page as text; the same results, and pictures in the runs' workdirs, give the same text.

    Args:
        results: what the sweep found.
        workdir: the sweep's workdir, whose runs' configs are compared.
    """
    import jinja2  # with its templates, so that importing the report costs nothing

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cnn_jax.report"),
        autoescape=True,  # class names, labels, paths and errors are other people's text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("history.html.j2").render(**_context(results, workdir))


def _context(results: Results, workdir: Path) -> dict[str, Any]:
    raw = results.raw
    sizes = raw.get("sizes") or {}
    return {
        "answer": words.answer(results),
        "tiles": _tiles(results),
        "budget_line": budget_line(results),
        "device_line": device_line(results),
        "networks": tables.network_rows(results),
        "runs": tables.run_rows(results),
        "comparisons": tables.comparison_rows(results),
        "configs": tables.config_rows(results, workdir),
        "budget": tables.budget_rows(results),
        "year_figure": figures.year_figure(results),
        "year_figure_narrow": figures.year_figure_narrow(results),
        "size_figure": figures.size_figure(results),
        "cost_figure": figures.cost_figure(results),
        "panels": curves.curve_panels(results),
        "marker_icon": figures.marker_icon,
        "command": _command(raw),
        "environment": {"commit": None, "python": None, "machine": None, "versions": {}}
        | (raw.get("environment") or {}),
        "preset": raw.get("preset", ""),
        "data": raw.get("data", ""),
        "classes": raw.get("classes", []),
        "sizes": {split: sizes[split] for split in ("train", "validation", "test") if split in sizes},
        "image_shape": raw.get("image_shape", []),
        "fingerprint": raw.get("fingerprint", ""),
        "seeds": results.seeds,
        "fewer": any(network.undone for network in results.networks),
        "years": _years(results),
        "views": inside.views(inside.runs_of_history(results, workdir), workdir),
        "pairs": len(results.measured) * (len(results.measured) - 1) // 2,
        "separable": results.seeds > 1,
    }


def _tiles(results: Results) -> list[tuple[str, str, str]]:
    """The few numbers to see first: what, how much, and a remark."""
    best, finished = results.best, sum(run.done for run in results.runs)
    tiles = []
    if best:
        tiles.append(("lowest test error", f"{words.plus_minus(best.test_error)} %", f"{best.label}, {best.year}"))
    linear = next((n for n in results.measured if n.family == "linear"), None)
    chance = f"guessing: {words.percent(results.chance_error)} %"
    if linear and linear is not best:
        tiles.append(("a linear classifier", f"{words.plus_minus(linear.test_error)} %", chance))
    seeds = f"{len(results.networks)} networks, {results.seeds} seed{'s' if results.seeds != 1 else ''} each"
    tiles.append(("runs finished", f"{finished} of {len(results.runs)}", seeds))
    seconds = sum(run.seconds or 0.0 for run in results.runs)
    tiles.append(("time spent training", words.duration(seconds), machine(results)))
    return tiles


def budget_line(results: Results) -> str:
    """What every network had: how much training, on what."""
    raw, budget = results.raw, results.raw.get("budget") or {}
    sizes = raw.get("sizes") or {}
    shape = "×".join(map(str, raw.get("image_shape") or ()))
    images = f"{sizes['train']:,} training images" if "train" in sizes else "the training images"
    batch = f" in batches of {budget['batch_size']}" if budget.get("batch_size") else ""
    tested = f", tested on {sizes['test']:,} others" if "test" in sizes else ""
    trained = f"{length(results)} {'of' if budget.get('total_epochs') else 'on'} {images}"
    return f"{trained} of {raw.get('data')} ({shape}){batch}{tested}"


def length(results: Results) -> str:
    """How long every run trained: `5 epochs`, `705 steps` or `90,000 examples`."""
    budget = results.raw.get("budget") or {}
    kinds = (("total_epochs", "epoch"), ("total_steps", "step"), ("total_examples", "example"))
    given = next(((budget[key], name) for key, name in kinds if budget.get(key)), None)
    return f"{given[0]:,} {given[1]}{'' if given[0] == 1 else 's'}" if given else "an unknown number"


def device_line(results: Results) -> str:
    """What it ran on: machine, versions, commit."""
    environment = results.raw.get("environment") or {}
    versions = environment.get("versions") or {}
    named = ", ".join(f"{name} {versions[name]}" for name in ("jax", "flax") if versions.get(name))
    commit = environment.get("commit") or ""
    parts = [
        machine(results),
        named,
        f"commit {commit[:10]}{'+' if commit.endswith('+') else ''}" if commit else "",
    ]
    return " · ".join(part for part in parts if part)


def machine(results: Results) -> str:
    """The devices and the number of cores."""
    environment = results.raw.get("environment") or {}
    devices = list(environment.get("devices") or [])
    kinds = [f"{devices.count(kind)} × {kind}" if devices.count(kind) > 1 else kind for kind in dict.fromkeys(devices)]
    cores = environment.get("cpu_count")
    return ", ".join([*kinds, *([f"{cores} cores"] if cores else [])])


def _command(raw: Mapping[str, Any]) -> str:
    """The command that made it: as it was typed, or as it would be."""
    argv = (raw.get("environment") or {}).get("argv") or []
    if len(argv) > 1 and argv[1] == "history":
        return shlex.join(["cnn-jax", *argv[1:]])
    return shlex.join(["cnn-jax", "history", f"--preset={raw.get('preset')}", f"--config.data={raw.get('data')}"])


def _years(results: Results) -> str:
    years = [network.year for network in results.networks]
    return f"{min(years)}–{max(years)}" if years else ""
