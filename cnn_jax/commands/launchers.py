"""Where the cells of a sweep run: here, in jobs of a cluster, or wherever the commands that are printed are started."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.commands.command import print_json


class Launcher(NamedTuple):
    """What `sweep` does with cells that are not done: exactly one of `run` and `hand_over` is there.

    Attributes:
        run: runs the cells, tells the board, and returns when they have ended.
        hand_over: leaves the cells to others, and prints to whom.
        at_a_time: how many of the cells run at a time.
    """

    run: Callable[[Sequence[Any], Any], None] | None = None
    hand_over: Callable[[Sequence[Any]], None] | None = None
    at_a_time: Callable[[Sequence[Any]], int] = len


def launcher_of(options: argparse.Namespace, overrides: Sequence[str]) -> Launcher:
    """The launcher that the options ask for.

    Raises:
        ConfigError: options that do not go together, or that cannot be used here.
    """
    from cnn_jax.errors import ConfigError

    if options.launcher != "slurm" and (options.slurm or options.no_wait):
        given = "--no_wait" if options.no_wait else f"--slurm.{options.slurm[0]}"
        raise ConfigError(307, f"{given} is for jobs: add --launcher=slurm")
    if options.launcher == "slurm":
        if options.processes != 1:
            raise ConfigError(308, "--processes is for this machine: say --slurm.array_parallelism=N for N tasks")
        return _jobs(options)
    if options.cells is not None and options.launcher == "commands":
        raise ConfigError(307, "--cells is what the commands say: leave it out with --launcher=commands")
    return _commands(options, overrides) if options.launcher == "commands" else _local(options)


def select_cells(cells: Sequence[Any], ids: str, file: Path) -> list[Any]:
    """The cells of an experiment by their ids, joined by commas.

    Raises:
        ConfigError: there is no such cell.
    """
    from cnn_jax.errors import ConfigError

    known = {cell.id: cell for cell in cells}
    wanted = list(dict.fromkeys(part.strip() for part in ids.split(",") if part.strip()))
    unknown = [cell_id for cell_id in wanted if cell_id not in known]
    if unknown or not wanted:
        why = "the file or a --config override has changed since they were listed" if unknown else "none is named"
        raise ConfigError(309, f"--cells: {file} has no cell {', '.join(unknown) or ids!r}; {why}")
    return [known[cell_id] for cell_id in wanted]


def _local(options: argparse.Namespace) -> Launcher:
    def run(cells: Sequence[Any], board: Any) -> None:
        from cnn_jax.sweep.launch import run_sweep

        run_sweep(cells, Path(options.workdir), board, processes=options.processes)

    return Launcher(run, at_a_time=lambda cells: max(1, options.processes))


def _jobs(options: argparse.Namespace) -> Launcher:
    from cnn_jax.sweep.plan import chunks
    from cnn_jax.sweep.slurm import follow, submit
    from cnn_jax.sweep.slurm_options import PARALLELISM, read_options
    from cnn_jax.sweep.slurm_queue import Slurm

    asked, workdir = read_options(options.slurm), Path(options.workdir)
    cluster, limit = Slurm(asked), asked.get(PARALLELISM)

    def at_a_time(cells: Sequence[Any]) -> int:
        return max(1, min(len(chunks(cells, limit or 1)), limit or len(cells)))

    def run(cells: Sequence[Any], board: Any) -> None:
        earlier, new = submit(cells, workdir, cluster, parts=limit or 1)
        follow([*earlier, *new], cells, workdir, board, cluster)

    def hand_over(cells: Sequence[Any]) -> None:
        earlier, new = submit(cells, workdir, cluster, parts=limit or 1)
        rows = [
            {"task": held.task.id, "state": held.task.state, "submitted": held in new, "cells": list(held.cells)}
            for held in (*earlier, *new)
        ]
        if options.json:
            print_json({"tasks": rows})
            return
        for row in rows:
            what = "submitted" if row["submitted"] else f"{row['state'].lower()} already"
            print(f"{row['task']}: {what}, {len(row['cells'])} cells")
        if not rows:
            print("nothing to submit: all cells are done")

    return Launcher(hand_over=hand_over) if options.no_wait else Launcher(run, at_a_time=at_a_time)


def _commands(options: argparse.Namespace, overrides: Sequence[str]) -> Launcher:
    def hand_over(cells: Sequence[Any]) -> None:
        from cnn_jax.sweep.plan import chunks, in_running_order

        line = ["cnn-jax", "sweep", f"--experiment={options.experiment}", f"--workdir={options.workdir}"]
        line += [f"--config.{override}" for override in overrides]
        parts = [[cell.id for cell in chunk] for chunk in chunks(in_running_order(cells), max(1, options.processes))]
        commands = [{"command": [*line, f"--cells={','.join(ids)}"], "cells": ids} for ids in parts]
        if options.json:
            print_json({"commands": commands})
            return
        for command in commands:
            print(shlex.join(command["command"]))

    return Launcher(hand_over=hand_over)
