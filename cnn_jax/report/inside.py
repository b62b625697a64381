"""What `cnn-jax inspect` has written into the workdirs of a study's runs, as pictures of its report."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.inspect import METHODS
from cnn_jax.report.results import Results
from cnn_jax.sweep.arms import arms_of, split_of

MOST = 12
"""Networks whose pictures are shown: those with the lowest error."""
_FACTS = "facts.json"


class Looked(NamedTuple):
    """A run that was looked into, or may be.

    Attributes:
        label: what its network is called.
        seed: of the run.
        folder: its workdir.
    """

    label: str
    seed: int
    folder: Path


class Picture(NamedTuple):
    """One picture.

    Attributes:
        caption: which run it is of.
        address: a `data:` address that holds it.
    """

    caption: str
    address: str


class View(NamedTuple):
    """The pictures of one method.

    Attributes:
        summary: what it shows, and which paper's figure that is.
        pictures: one or more of each run.
    """

    summary: str
    pictures: list[Picture]


def runs_of_history(results: Results, workdir: Path) -> list[Looked]:
    """The first run of each network that is done, in the order of the years."""
    first = {network.label: network.done[0] for network in results.networks if network.done}
    return [Looked(label, run.seed, workdir / run.workdir) for label, run in first.items()]


def runs_of_sweep(document: Mapping[str, Any], workdir: Path) -> list[Looked]:
    """The first run of each arm that is done, the lowest error first, `MOST` at most."""
    cells = document["cells"]
    arms = [arm for arm in arms_of(cells, split_of(cells)) if arm.errors]
    first = [(arm.label, min(arm.errors), arm.cells) for arm in arms[:MOST]]
    return [
        Looked(label, seed, workdir / next(cell["id"] for cell in cells if cell["seed"] == seed))
        for label, seed, cells in first
    ]


def views(runs: Iterable[Looked], workdir: Path) -> list[View]:
    """Everything that was written in `RUN/inspect/METHOD` of these runs, method by method.

    Args:
        runs: whose pictures.
        workdir: the study's; folders outside are left out, whatever the results say.
    """
    inside = [run for run in runs if run.folder.resolve().is_relative_to(workdir.resolve())]
    found = []
    for name, method in METHODS.items():
        pictures = [picture for run in inside for picture in _pictures(run, run.folder / "inspect" / name)]
        if pictures:
            found.append(View(method.summary, pictures))
    return found


def _pictures(run: Looked, folder: Path) -> list[Picture]:
    try:
        step = json.loads((folder / _FACTS).read_text(encoding="utf-8"))["step"]
        held = {file.stem: file.read_bytes() for file in sorted(folder.glob("*.png"))}
    except (OSError, ValueError, KeyError, TypeError):
        return []  # not looked at, or not to the end
    named = len(held) > 1
    return [
        Picture(
            f"{run.label}, seed {run.seed}, step {step}" + (f": {name.replace('_', ' ')}" if named else ""),
            "data:image/png;base64," + base64.b64encode(content).decode(),
        )
        for name, content in held.items()
    ]
