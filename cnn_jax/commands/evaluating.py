"""`eval`: what a checkpoint is worth, under a protocol."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cnn_jax.commands.command import Command, add_json, print_json, whole_numbers
from cnn_jax.commands.progress import bar
from cnn_jax.errors import ConfigError

# The names of `evaluate.protocols` and `evaluate.corruptions`, whose import costs seconds; a test compares them.
PROTOCOLS = ("single", "flip", "views", "ten_crop", "multi_crop", "dense", "multi_scale")
CORRUPTIONS = ("gaussian_noise", "gaussian_blur", "contrast", "jpeg", "shift")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def add_step(parser: argparse.ArgumentParser) -> None:
    """The `--step` option of every command that reads a checkpoint."""
    parser.add_argument(
        "--step",
        default="best",
        metavar="S",
        help="best (on validation; default), latest, a number of steps, or average:N1,N2 for the mean of their weights",
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", required=True, metavar="W", help="the workdir of a run")
    add_step(parser)
    parser.add_argument(
        "--split", default="test", choices=("train", "validation", "test", "all"), help="what to evaluate on"
    )
    parser.add_argument(
        "--protocol", default="single", choices=PROTOCOLS, help="which views of an image are averaged (default single)"
    )
    parser.add_argument("--crop", type=int, metavar="N", help="side of the crops; by default the network's own size")
    parser.add_argument(
        "--scales", type=whole_numbers, default=(), metavar="N,N", help="sizes for multi_scale, multi_crop"
    )
    parser.add_argument("--ensemble", type=_names, default=(), metavar="W,W", help="workdirs to average with W")
    parser.add_argument("--data", metavar="DATA", help="other data, such as folder:PATH; classes are matched by name")
    parser.add_argument(
        "--image_size", type=int, metavar="N", help="side of the images before the protocol; by default the network's"
    )
    parser.add_argument(
        "--fit",
        choices=("none", "pad", "resize"),
        help="how images of another size come to it (default: the run's rule)",
    )
    parser.add_argument(
        "--corruptions",
        type=_names,
        default=(),
        metavar="NAMES",
        help=f"accuracy on corrupted images as well: all, or some of {','.join(CORRUPTIONS)}",
    )
    parser.add_argument("--output", metavar="DIR", help="where evaluation.json, tables and figures are written")
    add_json(parser)


def _eval(options: argparse.Namespace, overrides: list[str]) -> None:
    if options.image_size is not None and not 0 < options.image_size <= 4096:
        raise ConfigError(212, f"--image_size={options.image_size} must lie between 1 and 4096 pixels")
    if options.output is not None and Path(options.output).is_file():
        raise ConfigError(215, f"--output={options.output} is a file: name a directory")
    from cnn_jax.evaluate import evaluate, examples, load

    others = [name for name in dict.fromkeys(options.ensemble) if name != options.workdir]
    runs = [load(name, step=options.step) for name in (options.workdir, *others)]
    seen = examples(runs[0], options.split, data=options.data, image_size=options.image_size, fit=options.fit)
    corruptions = CORRUPTIONS if options.corruptions == ("all",) else options.corruptions
    with bar() as tell:
        found = evaluate(
            runs,
            seen,
            options.protocol,
            crop=options.crop,
            scales=options.scales,
            corruptions=corruptions,
            tell=tell,
        )
    document = found.document()
    if options.output is not None:
        from cnn_jax.report.evaluation import write_evaluation

        document = write_evaluation(found, Path(options.output))
    if options.json:
        print_json(document)
        return
    _print(document)
    if options.output is not None:
        print(options.output)


def _print(result: dict[str, Any]) -> None:
    lo, hi = result["accuracy_interval"]
    known, there = result["classes"]["known"], result["classes"]["in_data"]
    step = "+".join(member["step"] for member in result["members"])
    members = f"{len(result['members'])} networks" if len(result["members"]) > 1 else result["model"]
    print(f"{members}, step {step}, {result['data']} {result['split']} (n={result['n']}), {result['protocol']}"
          f" ({result['identity']['views']} views): error {100 * (1 - result['accuracy']):.2f}%"
          f" [{100 * (1 - hi):.2f}, {100 * (1 - lo):.2f}], top-5 error {100 * (1 - result['top5']):.2f}%,"
          f" loss {result['loss']:.4f}, Brier {result['brier']:.4f}, ECE {result['ece']:.4f}")  # fmt: skip
    if there < known:
        print(f"the data has {there} of the {known} classes that the network knows")
    for name, rows in result["corruptions"].items():
        errors = ", ".join(f"{100 * (1 - row['accuracy']):.2f}%" for row in rows)
        print(f"{name}, severity 1 to 5: error {errors}")
    print(f"identity {result['identity_hash']}, comparable {result['comparable_hash']}")


EVAL = Command("eval", "evaluate a checkpoint, every example exactly once", _arguments, _eval)
