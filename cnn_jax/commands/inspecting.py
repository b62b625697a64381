"""`inspect`: pictures of what a network sees, one method a name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_jax.commands.command import Command, add_json, print_json
from cnn_jax.errors import ConfigError
from cnn_jax.inspect import METHODS, Request

if TYPE_CHECKING:
    from cnn_jax.inspect import Inspection

ALL = "all"


def _arguments(parser: argparse.ArgumentParser) -> None:
    methods = "; ".join(f"{name}: {method.summary}" for name, method in METHODS.items())
    parser.add_argument(
        "--method", required=True, choices=[*METHODS, ALL], metavar="NAME", help=f"{methods}; {ALL}: every one"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help="a config file, or FILE.py:ARG; for augment")
    what.add_argument("--workdir", metavar="W", help="the workdir of a run")
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="the folder to write to, by default W/inspect/METHOD (for all, W/inspect); for augment a file, by default "
        "inspect-augment.png",
    )
    parser.add_argument("--examples", type=int, metavar="N", help="how many images; the default is the method's")
    parser.add_argument("--tap", metavar="TAP", help="the named stage to look at (cnn-jax show MODEL --taps)")
    parser.add_argument("--images", nargs="+", metavar="FILE", help="image files to look at in place of the data's")
    parser.add_argument("--class", dest="class_name", metavar="NAME", help="the class to look for")
    add_json(parser)


def _inspect(options: argparse.Namespace, overrides: list[str]) -> None:
    from cnn_jax.config import load_config
    from cnn_jax.inspect.files import check_folder

    _check(options)
    config = load_config(options.config or Path(options.workdir) / "config.json", overrides)
    images = tuple(options.images or ())
    request = Request(config, options.workdir, options.examples, options.tap, images, options.class_name)
    if options.method == ALL:
        _all(request, options)
    elif METHODS[options.method].trained:
        folder = Path(options.output or Path(options.workdir) / "inspect" / options.method)
        check_folder(folder)
        found = METHODS[options.method].run(request)
        _report(_written(options.method, found, request, folder), found, options.json)
    else:
        _one_picture(request, options)


def _check(options: argparse.Namespace) -> None:
    """Refuses what means nothing to the method, before anything is read."""
    name = options.method
    given = {"examples": options.examples, "tap": options.tap, "images": options.images, "class": options.class_name}
    legal = frozenset() if name == ALL else METHODS[name].options
    for option, value in given.items():
        if value is not None and option not in legal:
            takes = ", ".join(f"--{o}" for o in given if o in legal) or "none of --" + ", --".join(given)
            raise ConfigError(231, f"--method={name} takes no --{option}: it takes {takes}")
    if options.examples is not None and options.examples < 1:
        raise ConfigError(133, f"--examples={options.examples} must be at least 1")
    if options.examples is not None and options.images:
        raise ConfigError(241, "--examples counts images of the data, --images names files: give one of the two")
    if options.config and (name == ALL or METHODS[name].trained):
        raise ConfigError(230, f"--method={name} looks into a trained network: give --workdir=W in place of --config")


def _all(request: Request, options: argparse.Namespace) -> None:
    """Every method that suits the network; what does not is said, and is no fault."""
    from cnn_jax.inspect.files import check_folder

    told: list[dict[str, Any]] = []
    folder = Path(options.output or Path(options.workdir) / "inspect")
    check_folder(folder)
    for name, method in METHODS.items():
        try:
            found = method.run(request)
        except ConfigError as reason:
            told.append({"method": name, "left_out": str(reason)})
            if not options.json:
                print(f"{name}: left out, {reason}\n")
            continue
        told.append(_written(name, found, request, folder / name))
        if not options.json:
            print(f"{name}:")
            _report(told[-1], found, as_json=False)
            print(flush=True)
    if options.json:
        print_json({"method": ALL, "workdir": str(options.workdir), "methods": told})


def _written(name: str, found: Inspection, request: Request, folder: Path) -> dict[str, Any]:
    from cnn_jax.inspect.files import about, write

    facts = about(name, request)
    return {**facts, "files": write(found, folder, facts), **found.facts}


def _report(told: dict[str, Any], found: Inspection, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        print("\n".join([*found.lines, *told["files"]]))


def _one_picture(request: Request, options: argparse.Namespace) -> None:
    """What needs no workdir is one picture, in the format that its name says."""
    from PIL import Image

    output = Path(options.output or f"inspect-{options.method}.png")
    if output.suffix.lower() not in Image.registered_extensions():
        raise ConfigError(132, f"--output={output} names no format of images: end it with .png")
    found = METHODS[options.method].run(request)
    (picture,) = found.pictures.values()

    from cnn_jax.inspect.files import save

    save(picture, output)
    if options.json:
        with Image.open(output) as written:
            size = list(written.size)
        print_json({"method": options.method, "picture": str(output), "size": size, **found.facts})
        return
    print("\n".join([*found.lines, str(output)]))


INSPECT = Command("inspect", "look into a network and at what goes into it", _arguments, _inspect, True)
