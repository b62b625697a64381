"""`compare`: two evaluations against each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cnn_jax.commands.command import Command, add_json, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A.json", help="an evaluation: what eval --output or eval --json wrote")
    parser.add_argument("b", metavar="B.json", help="the one that A is compared with")
    parser.add_argument("--force", action="store_true", help="compare results of other protocols or data, too")
    add_json(parser)


def _compare(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax.report.comparison import compare_files

    found = compare_files(Path(options.a), Path(options.b), force=options.force)
    if options.json:
        print_json(found)
        return
    for side in ("a", "b"):
        one = found[side]
        print(f"{side}: error {100 * (1 - one['accuracy']):.2f}% (n={one['n']}), {one['model']}, {one['file']}")
    for line in found["differing"]:
        print(f"not the same: {line}")
    print(_words(found))


def _words(found: dict[str, Any]) -> str:
    points = f"a - b: {100 * found['difference']:+.2f} points of accuracy"
    pairs = found["paired"]
    if pairs is None:
        return f"{points}; no interval: the answers example by example are not beside both files"
    verdict = "separated" if pairs["separated"] else f"not separated at n={pairs['n']}"
    return (
        f"{points}, 95% interval [{100 * pairs['lo']:+.2f}, {100 * pairs['hi']:+.2f}]: {verdict}; a alone right on "
        f"{pairs['only_a']}, b alone on {pairs['only_b']}, McNemar's exact p = {pairs['p_value']:.3g}"
    )


COMPARE = Command("compare", "two evaluations, example by example", _arguments, _compare)
