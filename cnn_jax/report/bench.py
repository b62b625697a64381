"""Benchmarks as Markdown tables, from the JSON that `cnn-jax bench --write` leaves in `experiments/results/bench`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import CheckpointError, ConfigError

BENCH = "bench"
"""A generated section `bench:cpu` or `bench:gpu` is what was reached; `bench:ID` the rows of one benchmark."""
_PLATFORMS = ("cpu", "gpu")
_NEEDED = {
    "id",
    "measures",
    "device",
    "summary",
    "rows",
    "absent",
    "environment",
    "date",
    "blocks",
    "complete",
    "error",
}


def bench_section(what: str, results: Path) -> str:
    """The table of a section.

    Args:
        what: `cpu`, `gpu`, or a benchmark's id.
        results: the folder of result files; benchmarks stand in `bench/` of it.

    Raises:
        ConfigError: no such table.
        CheckpointError: a damaged file.
    """
    folder = results / BENCH
    if what in _PLATFORMS:
        found = [_read(file) for file in sorted(folder.glob("*.json"), key=lambda file: file.stem.lower())]
        chosen = [result for result in found if result["device"] == what]
        return summary_table(chosen) if chosen else _none_yet(what)
    if Path(what).name != what or not what:
        raise ConfigError(267, f"generated section 'bench:{what}' is not known: use bench:cpu, bench:gpu or bench:ID")
    file = folder / f"{what}.json"
    return row_table(_read(file)) if file.is_file() else _none_yet(what)


def summary_table(results: Sequence[Mapping[str, Any]]) -> str:
    """What was reached against every peer, with floor and goal."""
    lines = [
        "| | measured | against | cases | median | range over blocks | floor | goal |",
        "|---|---|---|---:|---:|---|---:|---:|",
    ]
    for result in results:
        for row in result["summary"]:
            value = row["value"]
            against = row["peer"] or _FIGURES.get(row["figure"], row["figure"])
            shown = ["", "not measured", ""] if value is None else [str(row["cases"]), _bold(row), _range(value)]
            cells = [result["id"], result["measures"], against, *shown, _mark(row["floor"]), _mark(row["goal"])]
            lines.append(f"| {' | '.join(cells)} |")
    kept = "; ".join(f"{peer} is absent: {why}" for result in results for peer, why in result["absent"].items())
    cut = [f"{result['id']} {result['error'] or 'was cut short'}" for result in results if not result["complete"]]
    notes = [_how(results), *([_plain(kept)] if kept else []), *([_plain("; ".join(cut))] if cut else [])]
    return "\n".join([*lines, "", *(f"{note}." for note in notes), ""])


def row_table(result: Mapping[str, Any]) -> str:
    """The comparisons of one benchmark, a line each."""
    lines = ["| case | against | times faster | range over blocks | same work |", "|---|---|---:|---|---|"]
    for row in result["rows"]:
        facts, ratio = row["facts"], row["ratio"]
        if ratio is None:
            continue
        proof = facts.get("proof", {}).get("difference", facts.get("difference"))
        same = "" if proof is None else f"to {proof:.0e}"
        against = row["peer"] if row["peer"] != "textbook" else str(facts.get("peer", ""))
        cells = [_plain(row["case"]), _plain(against), f"{_mark(ratio['median'])}", _range(ratio), same]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{_how([result])}.", ""])


_FIGURES = {"images_per_second": "images a second", "seconds": "seconds", "roofline_share": "share of the roofline"}


def _bold(row: Mapping[str, Any]) -> str:
    shown = _mark(row["value"]["median"])
    return f"**{shown}**" if row["reached"] == "goal" and row["goal"] is not None else shown


def _how(results: Sequence[Mapping[str, Any]]) -> str:
    """On what it was measured: device, versions, date, blocks."""
    seen = dict.fromkeys(
        f"{', '.join(dict.fromkeys(r['environment']['devices']))}, {r['environment']['cpu_count']} processors, "
        f"JAX {r['environment']['versions']['jax']}, {r['date']}, {r['blocks']} blocks a side"
        for r in results
    )
    return _plain("; ".join(seen))


def _none_yet(what: str) -> str:
    return f"Not measured yet: `cnn-jax bench {what} --write`.\n"


def _read(file: Path) -> dict[str, Any]:
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        missing = _NEEDED - result.keys()
    except (ValueError, AttributeError) as error:
        raise CheckpointError(260, f"{file} is damaged ({error}): cnn-jax bench {file.stem} --write") from error
    if missing:
        raise CheckpointError(260, f"{file} lacks {', '.join(sorted(missing))}: cnn-jax bench {file.stem} --write")
    return result


def _range(value: Mapping[str, float]) -> str:
    return f"{_mark(value['low'])} to {_mark(value['high'])}"


def _mark(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _plain(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")
