"""`history` and `report`: commands about many runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cnn_jax.commands.command import Command, add_json, print_json


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", default="runs/history", metavar="W", help="where it is written; resumes")
    parser.add_argument("--preset", default="laptop", metavar="NAME", help="smoke, laptop (default) or gpu")
    add_json(parser)


def _history(options: argparse.Namespace, overrides: list[str]) -> int:
    from cnn_jax.report import write_history_report
    from cnn_jax.sweep.history import run_history

    results = run_history(options.workdir, preset=options.preset, overrides=overrides, progress=not options.json)
    page = write_history_report(Path(options.workdir))
    if options.json:
        print_json(results)
    else:
        from cnn_jax.report import history_table

        print(history_table(results))
        print(f"report: {page}")
    failed = [cell for cell in results["cells"] if cell["status"] != "done"]
    return 1 if failed else 0


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", required=True, metavar="W", help="the workdir of a history or of a sweep")
    parser.add_argument(
        "--inspect",
        nargs="+",
        default=[],
        metavar="METHOD",
        help="look into one run of each network first, such as with filters and gradcam (cnn-jax inspect)",
    )
    add_json(parser)


def _report(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax.inspect import check_methods
    from cnn_jax.report import write_history_report, write_sweep_report

    workdir = Path(options.workdir)
    # A history's workdir has `results.json` alone, a sweep's the tidy table beside it.
    swept = (workdir / "results.csv").is_file()
    check_methods(options.inspect)
    if options.inspect:
        _look_inside(options.inspect, workdir, swept)
    page = (write_sweep_report if swept else write_history_report)(workdir)
    print_json({"report": str(page)}) if options.json else print(page)


def _look_inside(methods: Sequence[str], workdir: Path, swept: bool) -> None:
    """Runs methods of `inspect` on the runs whose pictures the report shows; one that does not suit is left out."""
    from cnn_jax.errors import ConfigError
    from cnn_jax.inspect.files import look
    from cnn_jax.report.inside import runs_of_history, runs_of_sweep
    from cnn_jax.report.results import RESULTS, read_results
    from cnn_jax.report.sweep_results import read_sweep

    file = workdir / RESULTS
    runs = runs_of_sweep(read_sweep(file), workdir) if swept else runs_of_history(read_results(file), workdir)
    for number, run in enumerate(runs, 1):
        for method in methods:
            print(f"{number} of {len(runs)}: {method} of {run.label}", file=sys.stderr)
            try:
                look(method, run.folder)
            except ConfigError as reason:
                print(f"left out: {reason}", file=sys.stderr)


HISTORY = Command("history", "the ImageNet history: trained, compared, reported", _history_arguments, _history, True)
REPORT = Command("report", "write report.html from what a history or a sweep left", _report_arguments, _report)
