"""`bench`: the benchmarks against their peers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.commands.command import Command, add_json, print_json

_RESULTS = Path("experiments") / "results" / "bench"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="C1 to C7, traps, G1 to G6; or cpu, gpu, all")
    parser.add_argument("--preset", default="full", choices=("full", "smoke"), help="smoke: every joint, no figure")
    parser.add_argument("--blocks", type=int, metavar="N", help="blocks a side (default 7, and the least)")
    parser.add_argument("--peer_python", metavar="PATH", help="the peers' interpreter (default .venv-peers's)")
    parser.add_argument("--output", metavar="PATH", help="keep results in this folder, or in one file ending in .json")
    parser.add_argument("--write", action="store_true", help=f"keep results in {_RESULTS}/ID.json, to be committed")
    add_json(parser)


def _bench(options: argparse.Namespace, overrides: list[str]) -> int:
    from cnn_jax.bench.peer import peer_python
    from cnn_jax.bench.run import Settings, run
    from cnn_jax.bench.table import chosen
    from cnn_jax.errors import BenchError

    benchmarks = chosen(options.names)
    _check(options, overrides, benchmarks)
    settings = Settings(options.preset == "smoke", options.blocks, peer_python(options.peer_python), tuple(overrides))
    results = run(benchmarks, settings, _sink(options), lambda text: print(text, file=sys.stderr, flush=True))
    if options.json:
        print_json(results)
    else:
        _print(results)
    return BenchError.exit_status if any(result["error"] for result in results) else 0


def _check(options: argparse.Namespace, overrides: list[str], benchmarks: Sequence[Any]) -> None:
    from cnn_jax.errors import ConfigError
    from cnn_jax.train.workdir import source_commit

    if overrides and not any(row.id == "G1" for row in benchmarks):
        raise ConfigError(264, "--config.KEY=VALUE means something to G1 alone: the others have no config file")
    if options.write and options.preset == "smoke":
        raise ConfigError(265, "--write keeps figures, and --preset=smoke gives none: leave one of them out")
    if options.write and (source_commit() or "+").endswith("+"):
        raise ConfigError(266, "--write needs a commit to name: commit what has changed first, or use --output=FOLDER")


def _sink(options: argparse.Namespace) -> Callable[[dict[str, Any]], None]:
    """Writes a result wherever it is to be kept."""
    from cnn_jax.train.workdir import write_json

    kept: dict[str, dict[str, Any]] = {}

    def keep(document: dict[str, Any]) -> None:
        kept[document["id"]] = document
        if options.output and options.output.endswith(".json"):
            Path(options.output).parent.mkdir(parents=True, exist_ok=True)
            write_json(Path(options.output), list(kept.values()))
        for folder in [Path(options.output)] if options.output and not options.output.endswith(".json") else []:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / f"{document['id']}.json", document)
        if options.write:
            _RESULTS.mkdir(parents=True, exist_ok=True)
            write_json(_RESULTS / f"{document['id']}.json", document)

    return keep


def _print(results: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for heading in ("", "measured", "against", "cases", "median", "range", "floor", "goal"):
        table.add_column(heading, overflow="fold")
    for result in results:
        for row in result["summary"]:
            table.add_row(result["id"], result["measures"], row["peer"] or row["figure"], *_cells(row))
        for peer, why in result["absent"].items():
            table.add_row("", f"absent: {peer}", why)
        if result["error"]:
            table.add_row("", "error", result["error"])
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200).print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    value = row["value"]
    if value is None:
        return ["0", "not measured", "", *(_mark(row[key]) for key in ("floor", "goal"))]
    span = f"{_mark(value['low'])} to {_mark(value['high'])}"
    return [str(row["cases"]), _mark(value["median"]), span, *(_mark(row[key]) for key in ("floor", "goal"))]


def _mark(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


BENCH = Command("bench", "measure training against its peers, interleaved in one run", _arguments, _bench, True)
