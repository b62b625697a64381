"""The report's tables: rows of text and links, ready for a template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnn_jax.report.deviations import deviations
from cnn_jax.report.figures import marker_icon
from cnn_jax.report.links import anchor, run_link
from cnn_jax.report.results import Network, Results, Run, compare
from cnn_jax.report.words import column, digits_for, duration, percent, points, verdict

RUN_FILES = {"metrics": "metrics.jsonl", "config": "config.json", "machine": "environment.json", "DONE": "DONE"}


def network_rows(results: Results) -> list[dict[str, Any]]:
    """One row a network: what it is, what it costs, what it reached, each number with its runs."""
    best = results.best
    columns = [_column(results, value) for value in (Run.test_error, Run.top5_error, lambda run: run.error_on("train"))]
    return [
        {
            "number": number,
            "icon": marker_icon(number),
            "label": network.label,
            "model": network.model,
            "year": network.year,
            "paper": network.paper,
            "params": f"{network.params:,}",
            "macs": f"{network.macs:,}",
            "mean": mean,
            "anchor": anchor(network),
            "seeds": [_seed(network, run) for run in network.runs],
            "train": train,
            "top5": top5,
            "time": _mean_time(network),
            "best": network is best,
        }
        for number, (network, mean, top5, train) in enumerate(zip(results.networks, *columns, strict=True))
    ]


def run_rows(results: Results) -> list[dict[str, Any]]:
    """One row a run, with links to its files."""
    return [
        {
            "label": network.label,
            "number": number,
            "anchor": anchor(network) if run is network.runs[0] else "",
            "seed": run.seed,
            "link": run_link(run),
            "test": percent(run.test_error(), 2) if run.done else None,
            "top5": percent(run.top5_error(), 2) if run.done else "–",
            "validation": percent(run.error_on("validation"), 2),
            "train": percent(run.error_on("train"), 2),
            "best_step": f"{run.best_step:,} of {run.steps:,}" if run.best_step and run.steps else "–",
            "time": duration(run.seconds),
            "error": run.error,
            "files": [(name, run_link(run, file)) for name, file in RUN_FILES.items()],
        }
        for number, network in enumerate(results.networks)
        for run in network.runs
    ]


def comparison_rows(results: Results) -> list[dict[str, Any]]:
    """One row a network: paired differences to the network before it and to the best one, with verdicts."""
    rows, before, best = [], None, results.best
    digits = digits_for(best.test_error.mean) if best and best.test_error else 1
    for network in results.measured:
        number = results.networks.index(network)
        rows.append(
            {
                "label": network.label,
                "number": number,
                "step": _compared(network, before, digits),
                "best": _compared(network, best if best is not network else None, digits),
                "is_best": network is best,
            }
        )
        before = network
    return rows


def config_rows(results: Results, workdir: Path) -> list[dict[str, Any]]:
    """What differs between the networks' configs, read from the runs' own `config.json`, and their deviations."""
    configs = {}
    for network in results.networks:
        for run in network.runs:
            try:
                configs[network.family] = _flat(json.loads((workdir / run.workdir / "config.json").read_text("utf-8")))
                break
            except (OSError, ValueError):
                continue  # a run that never began has none; results.json alone must do
    keys = sorted({key for config in configs.values() for key in config})
    differing = [key for key in keys if key != "seed" and len({json.dumps(c.get(key)) for c in configs.values()}) > 1]
    learning_rates = {entry["family"]: entry.get("learning_rate") for entry in results.raw["networks"]}
    rows = []
    for number, network in enumerate(results.networks):
        config = configs.get(network.family, {})
        settings = {key: config[key] for key in differing if key != "model.name" and config.get(key) is not None}
        if not config and learning_rates[network.family] is not None:
            settings = {"optimizer.learning_rate": learning_rates[network.family]}
        rows.append(
            {
                "label": network.label,
                "number": number,
                "model": network.model,
                "year": network.year,
                "paper": network.paper,
                "settings": [f"{key} = {_plain(value)}" for key, value in settings.items()],
                "deviations": deviations(network.model),
            }
        )
    return rows


def budget_rows(results: Results) -> list[tuple[str, str]]:
    """The budget every network had, key by key, without what the networks list as their own."""
    own = {"optimizer.learning_rate"} if any("learning_rate" in entry for entry in results.raw["networks"]) else set()
    flat = _flat(results.raw.get("budget") or {})
    return [(key, _plain(value)) for key, value in flat.items() if value is not None and key not in own]


def _seed(network: Network, run: Run) -> dict[str, Any]:
    value = percent(run.test_error(), 2) if run.done else run.status
    return {"seed": run.seed, "value": value, "link": run_link(run), "error": run.error or ""}


def _column(results: Results, value: Callable[[Run], float | None]) -> list[str]:
    return column([network.mean(value) for network in results.networks])


def _compared(network: Network, other: Network | None, digits: int) -> dict[str, Any] | None:
    difference = compare(network, other) if other else None
    if difference is None or other is None:
        return None
    return {"points": points(difference, digits), "verdict": verdict(difference), "than": other.label}


def _mean_time(network: Network) -> str:
    seconds = network.mean(lambda run: run.seconds)
    return duration(seconds and seconds.mean)


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat.update(_flat(inner, f"{prefix}{key}.") if isinstance(inner, Mapping) else {f"{prefix}{key}": inner})
    return flat


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
