"""The ledger: every claim with the verdict that its committed results support.

Experiments are found in the folder that is named, else in `experiments/` here, else in the one beside the package. An
installed package has none beside it: there the folder has to be named. Results stand in its `results/claims/NAME.json`,
those at the paper's scale in `results/claims/gpu/NAME.json`.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.config import difference, resolve, to_dict
from cnn_jax.errors import CheckpointError, ConfigError, DivergedError
from cnn_jax.sweep.board import Board
from cnn_jax.sweep.claims import GPU, LAPTOP, PRESETS, Finding, Question, read_questions
from cnn_jax.sweep.grid import read_experiment
from cnn_jax.sweep.launch import run_sweep
from cnn_jax.sweep.measure import measure_cells
from cnn_jax.sweep.plan import make_plan
from cnn_jax.sweep.tidy import gather, table, write_results
from cnn_jax.train.workdir import ENVIRONMENT, read_json, write_environment, write_json

CLAIMS = Path("results") / "claims"
_OF_THE_QUESTION = ("id", "name", "title", "claim", "source", "published", "rule", "cost", "exact")
_OF_NO_INTEREST = ("argv", "xla_flags")
_SAME = 1e-6  # relative; counts are whole, shares are floats of another machine


def find_experiments(named: str | None = None) -> Path:
    """The folder of experiments.

    Raises:
        ConfigError: there is none.
    """
    places = [Path(named)] if named else [Path("experiments"), Path(__file__).resolve().parents[2] / "experiments"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise ConfigError(
            154, f"no folder of experiments at {' or '.join(map(str, places))}: name it, --experiments=DIR"
        )
    return found


def read_ledger(directory: Path) -> list[dict[str, Any]]:
    """Every question of a folder with its committed result, if it has one; `verdict` is None where it has not.

    A result at the paper's scale is a row of its own, after the other: `preset` tells them apart.

    Raises:
        ConfigError: a docstring that lacks a field.
        CheckpointError: a damaged result file.
    """
    return [
        {**_described(question, preset), **(found or {"verdict": None})}
        for question in read_questions(directory)
        for preset in PRESETS
        for found in (committed(question, preset),)
        if found or preset == LAPTOP
    ]


def committed(question: Question, preset: str = LAPTOP) -> dict[str, Any] | None:
    """The committed result of a question at a scale, or None."""
    file = _file(question, preset)
    return {"preset": preset, **read_json(file)} if file.is_file() else None


def chosen(directory: Path, names: Sequence[str], preset: str = LAPTOP) -> list[Question]:
    """The questions called so, by name or number; `exact` is all of which nothing is trained, `all` every one.

    Of a scale other than a laptop's, `all` are those that have it.

    Raises:
        ConfigError: an unknown name.
    """
    questions = read_questions(directory)
    by_name = {key: question for question in questions for key in (question.name, question.id)}
    found: dict[str, Question] = {}
    for name in names:
        every = [question for question in questions if preset == LAPTOP or question.gpu]
        group = every if name == "all" else [q for q in questions if name == "exact" and q.exact]
        if not group and name not in by_name:
            raise ConfigError(155, f"no claim {name!r} in {directory}: use exact, all, or {', '.join(sorted(by_name))}")
        found |= {question.name: question for question in group or [by_name[name]]}
    return list(found.values())


def run_claim(
    question: Question,
    workdir: Path,
    overrides: Sequence[str] = (),
    *,
    preset: str = LAPTOP,
    processes: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Measures a claim again: an exact one at once, a trained one by running what is missing of its sweep.

    Args:
        question: which.
        workdir: of the sweep.
        overrides: `KEY=VALUE` for the config of a trained one.
        preset: the scale of a trained one.
        processes: cells at a time.
        progress: whether to show how the sweep goes on, on standard error.

    Returns:
        What its result file holds.

    Raises:
        ConfigError: it has no such scale.
        CheckpointError: a cell of the sweep has failed, other than by diverging.
    """
    started = time.time()
    experiment = question.experiment(preset)
    if question.exact:
        finding = question.judge()
        return _document(question, preset, finding, environment_here(), seconds=round(time.time() - started, 1))
    cells = read_experiment(experiment, overrides)
    plan = make_plan(cells, workdir)
    missing = [row.cell for row in plan if row.status != "done"]
    workdir.mkdir(parents=True, exist_ok=True)
    seconds = {row.cell.id: row.seconds for row in plan}
    kept = len(cells) - len(missing)
    with Board(missing, seconds, kept=kept, workdir=workdir, processes=processes, shown=progress) as board:
        run_sweep(missing, workdir, board, processes=processes)
    measure_cells(question.file, cells, workdir)
    results = gather(question.name, plan, workdir)
    write_results(results, workdir)
    # That a network diverges is a result: it has no errors, and the claim says what that counts.
    diverged = f"E-{DivergedError.area}-"
    undone = [
        row["label"]
        for row in results["cells"]
        if row["status"] != "done" and not (row["error"] or "").startswith(diverged)
    ]
    if undone:
        raise CheckpointError(
            130, f"{len(undone)} cells of {question.name} are not done, such as {undone[0]}: see {workdir}"
        )
    finding = question.judge(table(results["cells"]))
    # A folder's path is of one machine: its last part is what the data is called.
    source, _, name = results["data"].partition(":")
    data = Path(name).name if source == "folder" else results["data"]
    return _document(
        question,
        preset,
        finding,
        {key: value for key, value in results["environment"].items() if key not in _OF_NO_INTEREST},
        seconds=round(sum(row["seconds"] or 0 for row in results["cells"]), 1),
        n=len({row["seed"] for row in results["cells"]}),
        data=data,
        config={**to_dict(cells[0].config), "data": data},
        cells=results["cells"],
    )


def write_claim(question: Question, document: dict[str, Any]) -> Path:
    """Writes a result to be committed; the file."""
    file = _file(question, document["preset"])
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, document)
    return file


def complaints(question: Question, preset: str = LAPTOP) -> list[str]:
    """Why the committed verdict does not stand: nothing, if it does.

    An exact claim is measured again; a trained one is judged again on its committed results. The rule must be the one
    that the result was judged by, and the config the one that was run.
    """
    stored = committed(question, preset)
    if stored is None:
        return [f"{question.name} has no committed result: cnn-jax claims --run {question.name} --write"]
    found = [
        f"{question.name}: {key} was {stored.get(key)!r} when it was judged and is {now!r}"
        for key, now in _described(question, preset).items()
        if stored.get(key) != now
    ]
    if not question.exact:
        found += _changes_of_config(question, preset, stored)
    finding = question.judge(None if question.exact else table(stored["cells"]))
    return found + differences(stored, finding)


def _changes_of_config(question: Question, preset: str, stored: dict[str, Any]) -> list[str]:
    """In what the file's first cell is no longer the one that was run.

    Keys that have come since are at their defaults, and the data may lie elsewhere.
    """
    now = to_dict(read_experiment(question.experiment(preset))[0].config)
    then = resolve({**stored["config"], "data": now["data"]})
    return [f"{question.name}: config.{line} when it was run" for line in difference(now, then)]


def differences(stored: dict[str, Any], finding: Finding) -> list[str]:
    """In what a finding departs from a committed one: its verdict, or a number."""
    name, now = stored["name"], finding.to_dict()
    found = []
    if stored["verdict"] != now["verdict"]:
        found.append(f"{name}: the verdict was {stored['verdict']!r} and is {now['verdict']!r}")
    before = {row["what"]: row["measured"] for row in stored["compared"]}
    for row in now["compared"]:
        if row["what"] not in before or not _close(before[row["what"]], row["measured"]):
            found.append(f"{name}: {row['what']} was {before.get(row['what'])} and is {row['measured']}")
    return found


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=_SAME if float in (type(one), type(other)) else 0)
    return one == other


def _file(question: Question, preset: str) -> Path:
    folder = question.file.parent / CLAIMS
    return (folder if preset == LAPTOP else folder / preset) / f"{question.name}.json"


def _described(question: Question, preset: str) -> dict[str, Any]:
    described = {key: getattr(question, key) for key in _OF_THE_QUESTION}
    return {**described, "preset": preset, "cost": question.gpu if preset == GPU else question.cost}


def _document(
    question: Question, preset: str, finding: Finding, environment: dict[str, Any], **rest: Any
) -> dict[str, Any]:
    return {
        **_described(question, preset),
        **finding.to_dict(),
        "environment": environment,
        "n": None,
        "cells": None,
        **rest,
    }


def environment_here() -> dict[str, Any]:
    """Versions, device and commit, as a run records them."""
    with tempfile.TemporaryDirectory() as directory:
        write_environment(Path(directory))
        recorded = read_json(Path(directory) / ENVIRONMENT)
    return {key: value for key, value in recorded.items() if key not in _OF_NO_INTEREST}
