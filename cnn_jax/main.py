"""The command line: `cnn-jax <command>`. Every command stands in `cnn_jax.commands`; nothing heavy is imported here."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from cnn_jax import __version__
from cnn_jax.commands import COMMANDS
from cnn_jax.errors import CheckpointError, CnnJaxError, ConfigError, Preempted


class _Terminated(BaseException):
    """SIGTERM where nothing is under way that has to be saved; not an Exception, so that nobody on the way keeps it."""


class _Parser(argparse.ArgumentParser):
    """Bad usage is one line and exit status 2, like every other bad input."""

    def error(self, message: str):
        raise ConfigError(20, f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; by default the process's own.

    Returns:
        The exit status: 0, or that of the error (2 config or usage, 3 data, 4 checkpoint, 5 diverged, 75 preempted and
        resumable), 130 after Ctrl-C outside training.
    """
    arguments, overrides = split_overrides(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's notices are not for users
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    debug = "--debug" in arguments
    with _left_on_sigterm():
        return _run(arguments, overrides, debug)


def _run(arguments: list[str], overrides: list[str], debug: bool) -> int:
    try:
        options = _parser().parse_args(arguments)
        if overrides and not options.takes_overrides:
            raise ConfigError(20, f"{options.command} takes no --config.KEY=VALUE")
        if options.no_cache:
            os.environ["CNN_JAX_NO_CACHE"] = "1"  # where the processes that are started see it too
        return options.run(options, overrides) or 0
    except CnnJaxError as error:
        if debug:
            raise
        print(f"cnn-jax: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        if debug:
            raise
        print("cnn-jax: interrupted", file=sys.stderr)
        return 130
    except _Terminated:
        print(f"cnn-jax: {Preempted(5, 'stopped by SIGTERM; the same command starts again')}", file=sys.stderr)
        return Preempted.exit_status
    except BrokenPipeError:
        # The reader of a pipe has left (`cnn-jax models | head`); nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            raise
        # A full disk or a folder that is not ours, met outside of data and checkpoints.
        reason = error.strerror or str(error)
        print(f"cnn-jax: {f'{error.filename}: {reason}' if error.filename else reason}", file=sys.stderr)
        return CheckpointError.exit_status


@contextlib.contextmanager
def _left_on_sigterm() -> Iterator[None]:
    """Schedulers send SIGTERM first: it ends a command as orderly as Ctrl-C does; training has its own handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise _Terminated

    def again(unraisable: sys.UnraisableHookArgs) -> None:
        # The signal was met inside a destructor or the garbage collector, where an exception leads nowhere.
        if issubclass(unraisable.exc_type, _Terminated):
            threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM)).start()
        else:
            hook(unraisable)

    handler, hook = signal.signal(signal.SIGTERM, leave), sys.unraisablehook
    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Takes `--config.KEY=VALUE` and `--config.KEY VALUE` out of the arguments.

    Returns:
        The other arguments, `--slurm.KEY=VALUE` among them as `--slurm=KEY=VALUE`, and the overrides as `KEY=VALUE`.

    Raises:
        Nothing: a key without a value is left for `load_config` to refuse.
    """
    rest: list[str] = []
    overrides: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if not argument.startswith("--config."):
            rest.append(re.sub(r"^--slurm\.", "--slurm=", argument))
            continue
        override = argument.removeprefix("--config.")
        if "=" not in override:
            value = next(remaining, None)
            override = override if value is None else f"{override}={value}"
        overrides.append(override)
    return rest, overrides


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cnn-jax", description="The ImageNet history as pure-function JAX.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"cnn-jax {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    common.add_argument("--no_cache", action="store_true", help="compile everything anew, and keep nothing of it")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name, help=command.summary, description=command.summary, parents=[common], allow_abbrev=False
        )
        sub.set_defaults(run=command.run, takes_overrides=command.takes_overrides)
        command.arguments(sub)
    return parser
