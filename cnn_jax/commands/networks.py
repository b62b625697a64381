"""`models`, `show`, `diff`, `check` and `errata`: commands about networks, which train nothing."""

from __future__ import annotations

import argparse
import sys

from cnn_jax.commands.command import Command, add_json, print_json, whole_numbers


def _models(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax import models

    entries = models.catalogue()
    counts = models.counts()
    rows = [
        {
            "name": e.name,
            "family": e.family,
            "variant": e.variant,
            "year": e.year,
            "paper": e.paper,
            "input": list(e.input),
            "num_classes": e.num_classes,
            "parameters": counts[e.name]["params"],
            "macs": counts[e.name]["macs"],
            "receptive_field": counts[e.name]["receptive_field"],
        }
        for e in entries
    ]
    if options.json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for heading in ("name", "year", "input", "parameters", "MACs", "paper"):
        table.add_column(heading, justify="left" if heading in ("name", "paper") else "right", no_wrap=True)
    for row in rows:
        size = "x".join(map(str, row["input"]))
        counted = (f"{row['parameters']:,}", f"{row['macs']:,}")
        table.add_row(row["name"], str(row["year"]), size, *counted, row["paper"])
    # A pipe gets every line whole; on a terminal the titles are what gives way.
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model name, such as vgg:D or resnet:small,width=0.5")
    parser.add_argument("--input", type=whole_numbers, metavar="H,W,C", help="image size; by default the paper's")
    _add_strict(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--format", default="text", choices=("text", "markdown", "latex"), help="how to print it")
    what.add_argument("--provenance", action="store_true", help="where the numbers of every layer come from")
    what.add_argument("--taps", action="store_true", help="the named stages: shape, stride, receptive field, layer")
    add_json(parser)


def _show(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax import analysis

    if options.provenance or options.taps:
        shown = (analysis.provenance if options.provenance else analysis.taps_named)(options.model, options.input)
        print_json(shown.to_dict()) if options.json else print(shown)
        return
    table = analysis.show_named(options.model, options.input, strict=options.strict)
    if options.json:
        print_json(table.to_dict())
    else:
        print(
            {"text": str, "markdown": table.to_markdown.__func__, "latex": table.to_latex.__func__}[options.format](
                table
            )
        )


def _add_strict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="refuse strides that leave a remainder, as lectures do")


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs=2, metavar="MODEL", help="two model names")
    parser.add_argument("--input", type=whole_numbers, metavar="H,W,C", help="image size of both")
    add_json(parser)


def _diff(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax import analysis

    difference = analysis.diff(*(analysis.show_named(name, options.input) for name in options.models))
    if options.json:
        print_json(difference.to_dict())
    else:
        print(difference)


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help="a config file; its one model is checked")
    what.add_argument("--experiment", metavar="FILE", help="an experiment file; every cell of its sweep is checked")
    _add_strict(parser)
    add_json(parser)


def _check(options: argparse.Namespace, overrides: list[str]) -> int:
    from cnn_jax.sweep.grid import check_cells, read_config_cell, read_experiment

    read, file = (read_config_cell, options.config) if options.config else (read_experiment, options.experiment)
    cells = read(file, overrides)
    problems = list(check_cells(cells, strict=options.strict).values())
    if options.json:
        print_json({"cells": len(cells), "illegal": [problem.to_dict() for problem in problems]})
    else:
        for problem in problems:
            print(problem)
        print(f"{len(cells) - len(problems)} of {len(cells)} cells are legal")
    return 2 if problems else 0


def _errata(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax import analysis

    print_json(analysis.errata().to_dict()) if options.json else print(analysis.errata())


MODELS = Command("models", "the catalogue: name, year, paper, parameters, MACs", add_json, _models)
SHOW = Command("show", "the paper's table, computed from the network", _show_arguments, _show)
DIFF = Command("diff", "what differs between two networks, layer by layer", _diff_arguments, _diff)
CHECK = Command("check", "whether a config or a whole sweep has legal geometry", _check_arguments, _check, True)
ERRATA = Command("errata", "what lectures, papers and code say that is not so, and what is", add_json, _errata)
