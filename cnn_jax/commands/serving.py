"""`serve`: a local page over a run: an image in; prediction, Grad-CAM and nearest training images out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from cnn_jax.commands.command import Command
from cnn_jax.commands.evaluating import add_step
from cnn_jax.commands.progress import bar
from cnn_jax.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cnn_jax.serve.viewer import Viewer

_LARGEST = 1024


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: use 0 (any that is free) to 65535")
    return int(text)


def _mebibytes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= _LARGEST):
        raise argparse.ArgumentTypeError(f"{text!r} is no size of files: use 1 to {_LARGEST} (MiB)")
    return int(text)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", required=True, metavar="W", help="the workdir of a run")
    add_step(parser)
    parser.add_argument("--port", type=_port, default=8000, metavar="N", help="default 8000; 0 for any that is free")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="default 127.0.0.1, this machine alone; others can be reached"
    )
    near = parser.add_mutually_exclusive_group()
    near.add_argument(
        "--data",
        metavar="DATA",
        help="where neighbours are searched, such as folder:PATH (default: the run's data)",
    )
    near.add_argument("--no_neighbours", action="store_true", help="search none: no training data is needed")
    parser.add_argument(
        "--upload",
        type=_mebibytes,
        default=10,
        metavar="MIB",
        help="the largest file taken, in MiB (default 10)",
    )


def _serve(options: argparse.Namespace, overrides: list[str]) -> None:
    try:
        from cnn_jax.serve.server import is_loopback, serve
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library == "cnn_jax":
            raise
        raise ConfigError(390, f"serve needs {library}: pip install 'cnn-jax[serve]'") from None
    from cnn_jax.serve.limits import Limits
    from cnn_jax.train.cache import use_compilation_cache

    use_compilation_cache()
    viewer = _viewer(options)
    if not is_loopback(options.host):
        print(
            f"cnn-jax: warning: --host={options.host} lets whoever reaches this machine send images and see the "
            "training images; there is no password, and nothing is encrypted",
            file=sys.stderr,
        )

    def announce(address: str) -> None:
        about = viewer.about()
        print(f"{about['model']}, step {about['step']}: {address} (Ctrl-C ends it)", flush=True)

    limits = Limits(upload=options.upload * 2**20)
    serve(viewer, options.host, options.port, limits=limits, progress=bar, announce=announce)
    print("ended", flush=True)


def _viewer(options: argparse.Namespace) -> Viewer:
    from cnn_jax.evaluate import examples, load
    from cnn_jax.inspect.network import as_network
    from cnn_jax.serve.searched import Searched
    from cnn_jax.serve.viewer import Viewer

    run = load(options.workdir, step=options.step)
    if options.no_neighbours:
        return Viewer(run, why_not="the server was started with --no_neighbours")
    try:
        # Other data comes to the network's size as an image that is sent does.
        fit = None if options.data is None else run.config.fit if run.config.fit != "none" else "resize"
        seen = examples(run, "train", data=options.data, fit=fit)
        return Viewer(run, Searched(as_network(run), seen))
    except (ConfigError, DataError) as error:
        if error.area == "CONF" and error.number == 233:
            # A linear classifier has no hidden layer to search by; all else can be shown.
            return Viewer(run, why_not=str(error))
        hint = "" if "--no_neighbours" in error.message else "; neighbours need this data: --no_neighbours does without"
        raise type(error)(error.number, error.message + hint) from None


SERVE = Command("serve", "a local page: drop an image, see what a run makes of it", _arguments, _serve)
