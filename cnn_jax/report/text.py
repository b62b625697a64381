"""A sweep's results for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnn_jax.report.results import Results, parse_results
from cnn_jax.report.words import answer, column, count, duration, percent

HEADINGS = ("network", "year", "parameters", "MACs", "test error, %", "each seed, %", "time a run")


def history_table(document: Mapping[str, Any]) -> str:
    """The table of a history and its answer in words, as plain text.

    Args:
        document: what `results.json` holds.

    Raises:
        CheckpointError: the document lacks something.
    """
    results = parse_results(document)
    rows = [HEADINGS, *_rows(results)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if k in (0, 5) else cell.rjust(width) for k, (cell, width) in enumerate(both)
        ).rstrip()
        for both in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join([*lines, "", *answer(results)])


def _rows(results: Results) -> list[tuple[str, ...]]:
    errors = column([network.test_error for network in results.networks])
    rows = []
    for network, error in zip(results.networks, errors, strict=True):
        seeds = "  ".join(percent(run.test_error(), 2) if run.done else run.status for run in network.runs)
        seconds = network.mean(lambda run: run.seconds)
        label, year = network.label, str(network.year)
        rows.append(
            (label, year, f"{network.params:,}", count(network.macs), error, seeds, duration(seconds and seconds.mean))
        )
    return rows
