"""`claims`: the ledger of what the history claims, and what this code found."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cnn_jax.commands.command import Command, add_json, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        dest="again",  # `run` is what every command's options call its function
        nargs="+",
        default=[],
        metavar="NAME",
        help="measure these again, by name or number; or exact, or all",
    )
    parser.add_argument("--write", action="store_true", help="with --run: keep the result as the committed one")
    parser.add_argument(
        "--output", metavar="FOLDER", help="with --run: results as files, FOLDER/NAME.json, as they come"
    )
    parser.add_argument(
        "--preset", default="laptop", choices=("laptop", "gpu"), help="with --run: at which scale; gpu: the paper's"
    )
    parser.add_argument("--workdir", default="runs/claims", metavar="W", help="where trained claims keep their sweeps")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="cells at a time (default 1)")
    parser.add_argument("--experiments", metavar="DIR", help="the folder of experiments, if it is not ./experiments")
    add_json(parser)


def _claims(options: argparse.Namespace, overrides: list[str]) -> int:
    from cnn_jax.sweep.ledger import find_experiments, read_ledger

    directory = find_experiments(options.experiments)
    if options.again:
        return _run(options, overrides, directory)
    rows = read_ledger(directory)
    print_json(rows) if options.json else _print(rows)
    return 0


def _run(options: argparse.Namespace, overrides: list[str], directory: Path) -> int:
    from cnn_jax.sweep.claims import LAPTOP, Compared, Finding
    from cnn_jax.sweep.ledger import chosen, committed, differences, run_claim, write_claim
    from cnn_jax.train.workdir import write_json

    documents, fallen = [], False
    questions = chosen(directory, options.again, options.preset)
    for question in questions:
        name = question.name if options.preset == LAPTOP else f"{question.name}-{options.preset}"
        document = run_claim(
            question,
            Path(options.workdir) / name,
            overrides,
            preset=options.preset,
            processes=options.processes,
            progress=not options.json,
        )
        if options.output:
            Path(options.output).mkdir(parents=True, exist_ok=True)
            write_json(Path(options.output) / f"{question.name}.json", document)
        stored = committed(question, options.preset)
        finding = Finding(document["verdict"], document["says"], tuple(Compared(**row) for row in document["compared"]))
        changed = differences(stored, finding) if stored else []
        document["stands"] = None if stored is None else stored["verdict"] == document["verdict"]
        documents.append(document)
        fallen |= document["stands"] is False
        if not options.json:
            print(f"{question.id} {question.name}: {document['verdict']}: {document['says']}")
            for row in document["compared"]:
                mark = "agrees" if row["holds"] else "DIFFERS"
                print(
                    f"    {row['what']}: published {_shown(row['published'])}, here {_shown(row['measured'])}, {mark}"
                )
            if stored or not options.write:
                print(f"    {_standing(document['stands'], changed)}")
    if options.write:  # at the end: a result that is written changes the tree that the next one is said to come from
        for question, document in zip(questions, documents, strict=True):
            file = write_claim(question, {key: value for key, value in document.items() if key != "stands"})
            print(f"wrote {file}", file=sys.stderr)
    print_json(documents) if options.json else None
    return 1 if fallen and not options.write else 0


def _standing(stands: bool | None, changed: list[str]) -> str:
    if stands is None:
        return "no committed verdict to compare with (--write makes it one)"
    return "the committed verdict stands" if stands else f"the committed verdict does not stand: {'; '.join(changed)}"


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        text = ", ".join(map(_shown, value))
        return text if len(text) < 100 else text[:97] + "..."
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _print(rows: list[dict]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for heading in ("", "name", "verdict", "n", "found"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        n = "exact" if row["exact"] else str(row.get("n") or "")
        name = row["name"] if row["preset"] == "laptop" else f"{row['name']}, {row['preset']}"
        table.add_row(row["id"], name, row["verdict"] or "not run", n, row.get("says", row["title"]))
    # A pipe gets every line whole; on a terminal the findings are what gives way.
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 240).print(table)


CLAIMS = Command("claims", "what the history claims, and whether it holds here", _arguments, _claims, True)
