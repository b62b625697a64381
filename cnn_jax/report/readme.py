"""The README's tables, made from committed results: `python -m cnn_jax.report.readme [--check]`.

A section between `<!-- generated: NAME -->` and `<!-- end -->` is replaced by the table of
`experiments/results/NAME.json`, or by its answer in words where the mark says `NAME:answer`. Nothing in such a section
is written by hand. NAME `recipes` stands for all networks trained by a recipe of their own, in one table, and
`ledger` for all claims of `experiments/results/claims/`, at either scale, `bench:cpu`, `bench:gpu` and `bench:ID` for
benchmarks.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import CheckpointError, CnnJaxError, ConfigError
from cnn_jax.report.bench import BENCH, bench_section
from cnn_jax.report.page import budget_line, device_line, length, machine
from cnn_jax.report.results import Results, parse_results, read_results
from cnn_jax.report.words import answer, column, count, duration, plus_minus
from cnn_jax.sweep.claims import GPU

_SECTION = re.compile(r"<!-- generated: (?P<name>\S+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
RECIPES = "recipes"
LEDGER = "ledger"
_CLAIMS = "claims"  # the folder of the ledger's results
_OPENING = re.compile(r"<!-- generated:")


def regenerate(text: str, results: Path) -> str:
    """The README's text with every generated section made anew.

    Args:
        text: the README.
        results: the folder of result files.

    Raises:
        ConfigError: a section is malformed or asks for what there is not.
        CheckpointError: a result file is missing or damaged.
    """
    if len(_OPENING.findall(text)) != len(_SECTION.findall(text)):
        raise ConfigError(80, "a generated section is malformed: write `<!-- generated: NAME -->`, then `<!-- end -->`")
    return _SECTION.sub(lambda match: _section(match["name"], results), text)


def table(results: Results) -> str:
    """A sweep as a Markdown table with a line on how it was made."""
    errors = column([network.test_error for network in results.networks])
    train = column([network.mean(lambda run: run.error_on("train")) for network in results.networks])
    lines = [
        "| network | year | parameters | MACs | test error, % | training error, % | seeds | time a run |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for network, error, training in zip(results.networks, errors, train, strict=True):
        seconds = network.mean(lambda run: run.seconds)
        label = f"**{_plain(network.label)}**" if network is results.best else _plain(network.label)
        cells = [
            label, str(network.year), f"{network.params:,}", count(network.macs), error, training,
            str(len(network.done)), duration(seconds and seconds.mean),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    made = _plain(f"{budget_line(results)}; {device_line(results)}")
    return "\n".join([*lines, "", f"Mean ± half the 95% t interval over seeds; {made}.", ""])


def recipe_table(recipes: Sequence[Results]) -> str:
    """Networks trained each by a recipe of its own, on data of its own, as one Markdown table."""
    lines = [
        "| network | data | budget | parameters | test error, % | seeds | time a run | on |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for results in recipes:
        for network in results.networks:
            seconds = network.mean(lambda run: run.seconds)
            cells = [
                _plain(network.label), _plain(str(results.raw.get("data"))), _plain(length(results)),
                f"{network.params:,}", plus_minus(network.test_error), str(len(network.done)),
                duration(seconds and seconds.mean), _plain(machine(results)),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Mean ± half the 95% t interval over seeds.", ""])


def ledger_table(claims: Sequence[Mapping[str, Any]]) -> str:
    """The claims with what was published, what was found here, and the verdict, as one Markdown table."""
    lines = ["| | question | published | found here | n | verdict |", "|---|---|---|---|---:|---|"]
    for claim in sorted(claims, key=lambda claim: (_by_number(claim["id"]), claim.get("preset") == GPU)):
        who = str(claim["source"]).partition(",")[0]
        scale = f", {GPU}" if claim.get("preset") == GPU else ""
        cells = [
            f"[{claim['id']}](experiments/{claim['name']}.py){scale}", _plain(str(claim["title"])),
            _plain(f"{who}: {claim['published']}"), _plain(str(claim["says"])),
            "exact" if claim["exact"] else str(claim["n"]), f"**{claim['verdict']}**",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _section(name: str, results: Path) -> str:
    if name == LEDGER:
        claims = [_claim(file) for file in sorted((results / _CLAIMS).rglob("*.json"))]
        if not claims:
            raise CheckpointError(131, f"{results / _CLAIMS} holds no results: cnn-jax claims --run all --write")
        return f"<!-- generated: {name} -->\n{ledger_table(claims)}<!-- end -->"
    if name == RECIPES:
        recipes = [found for file in sorted(results.glob("*.json")) if (found := _recipe(file))]
        if not recipes:
            raise CheckpointError(24, f"{results} holds no recipe's results: scripts/run_recipe.py writes them")
        return f"<!-- generated: {name} -->\n{recipe_table(recipes)}<!-- end -->"
    file, _, what = name.partition(":")
    if file == BENCH:
        return f"<!-- generated: {name} -->\n{bench_section(what, results)}<!-- end -->"
    if what not in ("", "answer") or Path(file).name != file:
        raise ConfigError(81, f"generated section {name!r} is not known: use NAME or NAME:answer")
    found = read_results(results / f"{file}.json")
    body = " ".join(map(_plain, answer(found))) + "\n" if what else table(found)
    return f"<!-- generated: {name} -->\n{body}<!-- end -->"


def _recipe(file: Path) -> Results | None:
    """A recipe's results; None when the file holds something else."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(21, f"{file} is damaged ({error}): run the sweep again to rewrite it") from error
    return parse_results(raw, str(file)) if isinstance(raw, dict) and raw.get("preset") == "recipe" else None


def _claim(file: Path) -> Mapping[str, Any]:
    """A claim's result.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        claim = json.loads(file.read_text(encoding="utf-8"))
        missing = {"id", "name", "title", "source", "published", "says", "exact", "n", "verdict"} - claim.keys()
    except (ValueError, AttributeError) as error:
        raise CheckpointError(132, f"{file} is damaged ({error}): cnn-jax claims --run {file.stem} --write") from error
    if missing:
        raise CheckpointError(
            132, f"{file} lacks {', '.join(sorted(missing))}: cnn-jax claims --run {file.stem} --write"
        )
    return claim


def _by_number(number: str) -> tuple[str, int]:
    """C9 before C10, and all of C before L."""
    letters = number.rstrip("0123456789")
    return letters, int(number[len(letters) :] or 0)


def _plain(words: str) -> str:
    """Text that Markdown takes for nothing but text."""
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", words)


def main(argv: list[str] | None = None) -> int:
    """The command line; exit status 1 when `--check` finds a section out of date."""
    parser = argparse.ArgumentParser(prog="python -m cnn_jax.report.readme", description="Makes the README's tables.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a table is out of date")
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("--results", type=Path, default=Path("experiments/results"))
    options = parser.parse_args(argv)
    try:
        before = options.readme.read_text(encoding="utf-8")
        after = regenerate(before, options.results)
    except CnnJaxError as error:
        print(f"readme: {error}", file=sys.stderr)
        return error.exit_status
    if after == before:
        return 0
    if options.check:
        print(f"readme: {options.readme} is out of date: run `python -m cnn_jax.report.readme`", file=sys.stderr)
        return 1
    options.readme.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
