"""`history` and `report`: commands about many runs."""

from __future__ import annotations

import argparse
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
    add_json(parser)


def _report(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax.report import write_history_report, write_sweep_report

    # A history's workdir has `results.json` alone, a sweep's the tidy table beside it.
    swept = (Path(options.workdir) / "results.csv").is_file()
    page = (write_sweep_report if swept else write_history_report)(Path(options.workdir))
    print_json({"report": str(page)}) if options.json else print(page)


HISTORY = Command("history", "the ImageNet history: trained, compared, reported", _history_arguments, _history, True)
REPORT = Command("report", "write report.html from what a history or a sweep left", _report_arguments, _report)
