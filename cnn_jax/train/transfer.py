"""Starting from the weights of another run: what is loaded, what is left out, what begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.judge import better
from cnn_jax.train.paths import matches
from cnn_jax.train.workdir import CONFIG, DATASET, read_json


class Transfer(NamedTuple):
    """What became of each array, by path: `params/conv1/kernel`.

    Attributes:
        source: the workdir.
        step: of its checkpoint.
        loaded: taken over.
        new: begin as if there were no source, each with the reason.
        skipped: of the source, without a place here.
    """

    source: str
    step: int
    loaded: list[str]
    new: dict[str, str]
    skipped: list[str]

    def __str__(self) -> str:
        new = f": {', '.join(_layers(self.new))}" if self.new else ""
        skipped = f": {', '.join(_layers(self.skipped))}" if self.skipped else ""
        return (
            f"from {self.source}, step {self.step}: {len(self.loaded)} arrays loaded, "
            f"{len(self.new)} new{new}, {len(self.skipped)} skipped{skipped}"
        )


def start_from(variables: Any, num_classes: int, init_from: str, layers: Sequence[str]) -> tuple[Any, Transfer]:
    """Variables with those of another run put in where name and shape agree.

    The head is new where the number of classes differs: arrays whose last axis is the classes, there and here. Any
    other difference of shape is an error.

    Args:
        variables: `{"params", ...}` of a network just initialised.
        num_classes: its outputs.
        init_from: `WORKDIR` or `WORKDIR:STEP`, the step being `best` (the default), `latest` or a number. Where the
            source kept an average of its weights, the average is taken.
        layers: patterns of paths to load; the rest begins anew.

    Returns:
        The variables, and what became of each.

    Raises:
        ConfigError: no workdir, nothing that fits, or an array of another shape.
        CheckpointError: no sound checkpoint there.
    """
    workdir, step = split_source(init_from)
    if not (workdir / "checkpoints").is_dir():
        raise ConfigError(105, f"config.init_from={init_from!r}: {workdir} is no workdir with checkpoints in it")
    theirs_tree, checkpoint = Checkpoints(workdir / "checkpoints", better).restore_variables(step)
    theirs, ours = _flat(theirs_tree), _flat(variables)
    classes = (_num_classes(workdir), num_classes)
    loaded: dict[str, Any] = {}
    new: dict[str, str] = {}
    for path, array in ours.items():
        within = path.partition("/")[2]
        if not any(matches(within, pattern) for pattern in layers):
            new[path] = "not in config.init_layers"
        elif path not in theirs:
            new[path] = "not in the source"
        elif theirs[path].shape == array.shape and theirs[path].dtype == array.dtype:
            loaded[path] = theirs[path]
        elif _heads(theirs[path].shape, array.shape) == classes:
            new[path] = f"{classes[0]} classes in the source, {classes[1]} here"
        else:
            raise CheckpointError(
                30,
                f"{path} is {_form(theirs[path])} in {workdir} and {_form(array)} here: use the same network, or leave "
                "the layer out of config.init_layers",
            )
    if not loaded:
        raise ConfigError(
            106, f"config.init_from={init_from!r}: nothing there has a name of this network (it has {_some(theirs)}, "
            f"this has {_some(ours)})"
        )  # fmt: skip
    leaves = [loaded.get(path, array) for path, array in ours.items()]
    skipped = sorted(set(theirs) - set(loaded) - set(new))
    result = Transfer(str(workdir), checkpoint.step, sorted(loaded), new, skipped)
    return jax.tree.unflatten(jax.tree.structure(variables), leaves), result


def split_source(init_from: str) -> tuple[Path, str]:
    """`WORKDIR:STEP` taken apart; the step is `best` where none is given."""
    workdir, colon, step = init_from.rpartition(":")
    if colon and (step in ("best", "latest") or step.isdigit()):
        return Path(workdir), step
    return Path(init_from), "best"


def _flat(tree: Any) -> dict[str, Any]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in flat}


def _num_classes(workdir: Path) -> int:
    stored = read_json(workdir / CONFIG)["model"].get("num_classes")
    return stored or len(read_json(workdir / DATASET)["classes"])


def _heads(theirs: tuple[int, ...], ours: tuple[int, ...]) -> tuple[int, int] | None:
    """The last axes of two shapes that agree in all others."""
    return (theirs[-1], ours[-1]) if theirs and ours and theirs[:-1] == ours[:-1] else None


def _layers(paths: Any) -> list[str]:
    """`fc8` for `params/fc8/kernel` and `params/fc8/bias`."""
    return list(dict.fromkeys(path.partition("/")[2].rpartition("/")[0] for path in paths))


def _form(array: Any) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _some(flat: Mapping[str, Any]) -> str:
    names = _layers(flat)
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
