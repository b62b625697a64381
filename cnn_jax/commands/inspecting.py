"""`inspect`: pictures to look at, one method a name."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnn_jax.commands.command import Command, add_json, print_json
from cnn_jax.errors import ConfigError
from cnn_jax.inspect import METHODS, Request


def _arguments(parser: argparse.ArgumentParser) -> None:
    methods = "; ".join(f"{name}: {method.summary}" for name, method in METHODS.items())
    parser.add_argument("--method", required=True, choices=list(METHODS), metavar="NAME", help=methods)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help="a config file, or FILE.py:ARG")
    what.add_argument("--workdir", metavar="W", help="the workdir of a run")
    parser.add_argument("--output", metavar="FILE", help="where the picture goes; by default inspect-NAME.png")
    parser.add_argument("--examples", type=int, default=8, metavar="N", help="how many images (default 8)")
    add_json(parser)


def _inspect(options: argparse.Namespace, overrides: list[str]) -> None:
    from PIL import Image

    from cnn_jax.config import load_config

    output = Path(options.output or f"inspect-{options.method}.png")
    if output.suffix.lower() not in Image.registered_extensions():
        raise ConfigError(132, f"--output={output} names no format of images: end it with .png")
    if options.examples < 1:
        raise ConfigError(133, f"--examples={options.examples} must be at least 1")
    config = load_config(options.config or Path(options.workdir) / "config.json", overrides)
    found = METHODS[options.method].run(Request(config, options.workdir, options.examples))
    output.parent.mkdir(parents=True, exist_ok=True)
    found.picture.save(output)
    if options.json:
        print_json({"method": options.method, "picture": str(output), "size": list(found.picture.size), **found.facts})
        return
    print("\n".join(found.lines))
    print(output)


INSPECT = Command("inspect", "look at what goes into a network: augmented images", _arguments, _inspect, True)
