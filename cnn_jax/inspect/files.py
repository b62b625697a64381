"""Writes what a method found into its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax import plotting
from cnn_jax.config import load_config
from cnn_jax.errors import ConfigError
from cnn_jax.inspect import METHODS, Inspection, Request


def look(method: str, workdir: Path) -> list[str]:
    """Runs a method on a run with what it does by default, and writes into `workdir/inspect/METHOD`.

    Returns:
        The files written.

    Raises:
        ConfigError: the method does not suit the network.
    """
    request = Request(load_config(workdir / "config.json"), str(workdir))
    return write(METHODS[method].run(request), workdir / "inspect" / method, about(method, request))


def about(method: str, request: Request) -> dict[str, Any]:
    """What the facts of every method begin with."""
    facts = {"method": method, "workdir": str(request.workdir), "model": request.config.model.name}
    return {**facts, "step": request.run.step} if METHODS[method].trained else facts


def write(found: Inspection, folder: Path, about: dict[str, Any]) -> list[str]:
    """Pictures as PNG, arrays as .npy, tables as CSV, and `facts.json`.

    Args:
        found: what a method gives.
        folder: made where it is missing.
        about: the run, written to the facts before what the method knows.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, picture in found.pictures.items():
        files.append(folder / f"{name}.png")
        save(picture, files[-1])
    for name, data in found.data.items():
        if isinstance(data, np.ndarray):
            files.append(folder / f"{name}.npy")
            np.save(files[-1], data, allow_pickle=False)
        else:
            files.append(folder / f"{name}.csv")
            data.to_csv(files[-1], index=False, lineterminator="\n")
    files.append(folder / "facts.json")
    files[-1].write_text(json.dumps({**about, **found.facts}, indent=2) + "\n", encoding="utf-8")
    return [str(file) for file in files]


def check_folder(folder: Path) -> None:
    """Refuses a folder that cannot be made, before anything is computed for it.

    Raises:
        ConfigError: a file stands where the folder or one above it should be.
    """
    nearest = next((at for at in (folder, *folder.parents) if at.exists()), folder)
    if nearest.exists() and not nearest.is_dir():
        raise ConfigError(238, f"{nearest} is a file: --output names a folder, which is made where it is missing")


def save(picture: Any, file: Path) -> None:
    """One picture, of Pillow or matplotlib, in the format that its file's ending says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(picture, "savefig"):
        with plotting.style():
            plotting.save(picture, file)
    else:
        picture.save(file)
