"""`import` and `export`: commands that bring weights in and out."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.commands.command import Command, add_json, print_json, whole_numbers
from cnn_jax.commands.evaluating import add_step
from cnn_jax.errors import ConfigError, DataError

_SOURCES = ("torchvision", "timm", "keras", "cnn_jax")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="weights: .safetensors; .pth, .pt with PyTorch; .h5 with h5py")
    parser.add_argument(
        "--workdir", required=True, metavar="W", help="where the network is written, as a run at step 0"
    )
    parser.add_argument("--source", required=True, choices=_SOURCES, help="the library whose names the tensors have")
    parser.add_argument("--model", metavar="NAME", help="the network, such as resnet:50; files of cnn_jax know theirs")
    parser.add_argument("--input", type=whole_numbers, metavar="H,W,C", help="image size; by default the paper's")
    parser.add_argument(
        "--classes", metavar="FILE", help="names of the classes, one a line, in the order of the outputs"
    )
    parser.add_argument(
        "--mean", type=_numbers, metavar="R,G,B", help="of the training images, in 0..1; by default the source's"
    )
    parser.add_argument("--std", type=_numbers, metavar="R,G,B", help="likewise")
    add_json(parser)


def _import(options: argparse.Namespace, overrides: list[str]) -> None:
    classes = None if options.classes is None else _lines(Path(options.classes))
    from cnn_jax.weights.workdir import Wanted, import_file

    wanted = Wanted(options.model, options.input, classes, options.mean, options.std, overrides)
    with _telling(f"importing {options.file}"):
        result = import_file(options.file, options.workdir, options.source, wanted)
    if options.json:
        print_json(result)
    else:
        print(f"{result['model']}, {result['parameters']:,} parameters from {options.source}: {options.workdir}")


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", required=True, metavar="W", help="the workdir of a run")
    parser.add_argument("--output", required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--format", default="safetensors", choices=("safetensors", "stablehlo"), help="of the file")
    parser.add_argument(
        "--names", choices=_SOURCES, help="whose names and layouts the weights have; by default our own"
    )
    add_step(parser)
    add_json(parser)


def _export(options: argparse.Namespace, overrides: list[str]) -> None:
    if not Path(options.output).parent.is_dir():
        raise ConfigError(284, f"--output={options.output}: there is no directory {Path(options.output).parent}")
    if options.format == "stablehlo" and options.names:
        raise ConfigError(214, f"--names={options.names} means nothing to --format=stablehlo, which holds no tensors")
    from cnn_jax.evaluate import load
    from cnn_jax.weights.workdir import export_file

    if options.format == "stablehlo":
        _export_stablehlo(options)
        return
    with _telling(f"exporting {options.workdir}"):
        run = load(options.workdir, step=options.step)
        parts = {"model": run.model, "variables": run.variables, "config": run.config, "spec": run.spec}
        result = export_file(options.output, options.names or "cnn_jax", step=run.step, **parts)
    if options.json:
        print_json(result)
    else:
        megabytes = result["bytes"] / 1e6
        print(f"{result['model']}, step {run.step}, {result['tensors']} tensors, {megabytes:.1f} MB: {options.output}")


def _export_stablehlo(options: argparse.Namespace) -> None:
    from cnn_jax.evaluate import load
    from cnn_jax.weights.stablehlo import export_stablehlo

    with _telling(f"exporting {options.workdir}"):
        run = load(options.workdir, step=options.step)
        parts = {"task": run.task, "variables": run.variables, "spec": run.spec, "step": run.checkpoint}
        result = export_stablehlo(options.output, model=run.config.model.name, **parts)
    if options.json:
        print_json(result)
    else:
        print(f"{result['model']}, step {result['step']}, {result['bytes'] / 1e6:.1f} MB: {options.output}")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(131, f"--classes={file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """A spinner on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(what)):
        yield


IMPORT = Command(
    "import", "a workdir from weights of torchvision, timm or Keras", _import_arguments, _import, takes_overrides=True
)
EXPORT = Command("export", "a run's network as a file of weights or a function", _export_arguments, _export)
