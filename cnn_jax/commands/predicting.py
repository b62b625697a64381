"""`predict`: what a network sees in images that nobody has labelled."""

from __future__ import annotations

import argparse
import sys

from cnn_jax.commands.command import Command, add_json, print_json
from cnn_jax.commands.evaluating import add_step
from cnn_jax.commands.progress import bar

_BAR = 30


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image files, folders of them, or uint8 arrays in .npy files"
    )
    parser.add_argument("--workdir", required=True, metavar="W", help="the workdir of a run")
    add_step(parser)
    add_json(parser)


def _predict(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax.evaluate import load
    from cnn_jax.evaluate.images import batches, find_images, top_k

    found = find_images(options.images)
    run = load(options.workdir, step=options.step)
    answers = []
    with bar() as tell:
        for images in batches(found, run):
            answers += top_k(run.predict(images), run.spec.classes)
            tell("predict", len(answers), len(found))
    if options.json:
        print_json([{"image": one.name, "top5": answer} for one, answer in zip(found, answers, strict=True)])
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # A terminal's width is for terminals: a pipe gets every line whole.
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    for one, answer in zip(found, answers, strict=True):
        table = Table(title=escape(one.name), title_justify="left", show_header=False, box=None)
        for row in answer:
            bars = "█" * round(_BAR * row["probability"])
            table.add_row(f"{100 * row['probability']:6.2f}%", escape(row["class"]), f"[blue]{bars}[/]")
        console.print(table)


PREDICT = Command("predict", "the five likeliest classes of images", _arguments, _predict)
