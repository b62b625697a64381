"""`sweep`: runs what is missing of an experiment, or says what it would be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.commands.command import Command, add_json, print_json

_LAUNCHERS = ("local", "slurm", "commands")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", required=True, metavar="FILE", help="an experiment file, or FILE.py:ARG")
    parser.add_argument(
        "--workdir", required=True, metavar="W", help="where the cells are written; runs what is missing"
    )
    parser.add_argument(
        "--launcher",
        default="local",
        choices=_LAUNCHERS,
        help="local: processes of this machine; slurm: jobs; commands: print a command for each part of the sweep",
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="cells at a time (default 1)")
    parser.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="an option of sbatch; also --slurm.KEY=VALUE"
    )
    parser.add_argument("--no_wait", action="store_true", help="slurm: submit, list the jobs and leave them to run")
    parser.add_argument("--cells", metavar="ID,ID", help="run these cells only, and write no results of the sweep")
    parser.add_argument("--dry_run", action="store_true", help="list the cells and what they cost; run nothing")
    parser.add_argument("--skip_illegal", action="store_true", help="leave out cells whose geometry is not legal")
    parser.add_argument("--strict", action="store_true", help="refuse strides that leave a remainder, as lectures do")
    add_json(parser)


def _sweep(options: argparse.Namespace, overrides: list[str]) -> int:
    from cnn_jax.commands.launchers import launcher_of, select_cells
    from cnn_jax.errors import ConfigError
    from cnn_jax.sweep.grid import check_cells, experiment_file, read_experiment
    from cnn_jax.sweep.plan import make_plan
    from cnn_jax.sweep.rungs import climb, known, read_rungs
    from cnn_jax.train.cache import use_compilation_cache

    use_compilation_cache()
    workdir, images = Path(options.workdir), {}
    launcher = None if options.dry_run else launcher_of(options, overrides)
    file = experiment_file(options.experiment)
    cells, later = read_experiment(options.experiment, overrides), read_rungs(file)
    if options.cells is not None:
        cells, later = select_cells(known(cells, later, workdir), options.cells, file), None
    illegal = check_cells(cells, strict=options.strict, known=images)
    numbers = {cell.id: number for number, cell in enumerate(cells, 1)}
    refused = [{"number": numbers[cell_id], **problem.to_dict()} for cell_id, problem in illegal.items()]
    for row, problem in zip(refused, illegal.values(), strict=True):
        print(f"illegal: {row['number']}. {problem}", file=sys.stderr)
    if illegal and not options.skip_illegal:
        words = f"{len(illegal)} of {len(cells)} cells are illegal: change the file, or leave them out: --skip_illegal"
        print_json({"cells": len(cells), "illegal": refused}) if options.json else None
        print(f"cnn-jax: {words}", file=sys.stderr)
        return 2
    cells = [cell for cell in cells if cell.id not in illegal]
    if not cells:
        raise ConfigError(159, f"no cell of {file} is legal: change the file")

    def planned(cells: Sequence[Any]) -> list[Any]:
        plan = make_plan(cells, workdir, images)
        return [row._replace(number=numbers.get(row.cell.id, row.number)) for row in plan]

    rungs = map(planned, climb(cells, later, workdir))
    if launcher is None:
        _dry_run(options, next(rungs), refused, later)
        return 0
    if launcher.hand_over is not None:
        # Only those of the first rung that is not over are known.
        missing = (missing for rung in rungs if (missing := [row.cell for row in rung if row.status != "done"]))
        launcher.hand_over(next(missing, []))
        return 0
    return _run(options, launcher, file, rungs, refused)


def _run(
    options: argparse.Namespace, launcher: Any, file: Path, rungs: Iterable[list[Any]], refused: list[dict]
) -> int:
    """Runs rung after rung, one where nothing is halved."""
    from cnn_jax.report import write_sweep_report
    from cnn_jax.sweep.board import Board
    from cnn_jax.sweep.measure import measure_cells
    from cnn_jax.sweep.tidy import gather, write_results

    workdir, plan, files = Path(options.workdir), [], []
    workdir.mkdir(parents=True, exist_ok=True)
    try:
        for rung in rungs:
            plan += rung
            missing = [row.cell for row in rung if row.status != "done"]
            with Board(
                missing,
                {row.cell.id: row.seconds for row in rung},
                kept=len(rung) - len(missing),
                workdir=workdir,
                processes=launcher.at_a_time(missing),
                shown=not options.json,
            ) as board:
                launcher.run(missing, board)
            measure_cells(file, [row.cell for row in rung], workdir)
    finally:  # an interrupted sweep has results as well
        document = {**gather(file.stem, plan, workdir), "illegal": refused}
        if plan and options.cells is None:
            files = [*write_results(document, workdir), write_sweep_report(workdir)]
    undone = [row for row in document["cells"] if row["status"] != "done"]
    if options.json:
        print_json(document)
    else:
        results = f"; results: {', '.join(map(str, files))}" if files else ""
        print(f"{len(plan) - len(undone)} of {len(plan)} cells done{results}")
    return 1 if undone else 0


def _dry_run(options: argparse.Namespace, plan: list[Any], refused: list[dict], later: Any) -> None:
    from cnn_jax.sweep.halving import Halving
    from cnn_jax.sweep.plan import count_programs
    from cnn_jax.sweep.tuning import Tuning

    missing = [row.cell for row in plan if row.status != "done"]
    programs = count_programs(missing)
    seconds = sum(row.seconds for row in plan) / max(1, options.processes)
    if options.json:
        print_json(
            {
                "experiment": options.experiment,
                "cells": [row.to_dict() for row in plan],
                "illegal": refused,
                "done": len(plan) - len(missing),
                "programs": programs,
                "seconds": round(seconds, 1),
                "halving": later._asdict() if isinstance(later, Halving) else None,
                "trials": later.trials if isinstance(later, Tuning) else None,
            }
        )
        return
    _print_plan(plan)
    print(_total(plan, missing, programs, seconds))
    if later is not None and later.later():
        print(later.later())


def _print_plan(plan: Sequence[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from cnn_jax.sweep.board import duration

    table = Table(box=None, header_style="bold")
    for heading in ("", "cell", "status", "parameters", "MACs", "field", "memory", "time", "time is"):
        table.add_column(heading, justify="left" if heading in ("cell", "status", "time is") else "right", no_wrap=True)
    for row in plan:
        field = "" if row.receptive_field is None else f"{row.receptive_field:g}"
        size = (f"{row.params:,}", f"{row.macs:,}", field, f"{row.memory_bytes / 1e6:,.0f} MB")
        when = ("", "") if row.status == "done" else (duration(row.seconds), row.seconds_from)
        table.add_row(str(row.number), row.cell.label, row.status, *size, *when)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200).print(table)


def _total(plan: Sequence[Any], missing: Sequence[Any], programs: int, seconds: float) -> str:
    from cnn_jax.sweep.board import duration

    told = {
        "measured": "from cells of the same program",
        "scaled": "scaled by MACs from finished cells",
        "guessed": "guessed from MACs, before any cell has run",
    }
    sources = dict.fromkeys(row.seconds_from for row in plan if row.status != "done")
    how = f" ({'; '.join(told[source] for source in sources)})" if sources else ""
    return (
        f"{len(plan)} cells, {len(plan) - len(missing)} done, {len(missing)} to run with {programs} programs to "
        f"compile; about {duration(seconds)}{how}"
    )


SWEEP = Command("sweep", "run what is missing of an experiment's cells", _arguments, _sweep, True)
