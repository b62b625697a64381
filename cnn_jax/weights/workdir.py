"""A file of weights made a workdir, which `eval`, `predict` and `init_from` read like a run; and a run made a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from cnn_jax import models
from cnn_jax.analysis.summary import default_input
from cnn_jax.config import canonical_json, override, resolve
from cnn_jax.errors import ConfigError, DataError
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.judge import better
from cnn_jax.train.loop import load_config_data
from cnn_jax.train.metrics import METRICS
from cnn_jax.train.state import create_state
from cnn_jax.train.workdir import DATASET, check_workdir, open_workdir, write_environment, write_json
from cnn_jax.weights.convert import OWN, SOURCES, check_source, export_weights, import_weights
from cnn_jax.weights.files import read_metadata, read_tensors, write_safetensors
from cnn_jax.weights.naming import Preprocessing, family_of

NO_DATA = "none"
_EVALUATION_BATCH = 32


class Wanted(NamedTuple):
    """What a user says of a file of weights besides its source.

    Attributes:
        model: a model's name; None where the file says it itself (our own).
        input_shape: (H, W, C) of the images; by default the data's, or the paper's.
        classes: names in the order of the outputs; by default the data's, or numbers.
        mean: of the images that the network was trained on, per channel in 0..1; by default the source's.
        std: likewise.
        overrides: `KEY=VALUE` of the config, such as `data=folder:PATH` to evaluate on.
    """

    model: str | None = None
    input_shape: Sequence[int] | None = None
    classes: Sequence[str] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    overrides: Sequence[str] = ()


def import_file(file: str | Path, workdir: str | Path, source: str, wanted: Wanted) -> dict[str, Any]:
    """Makes the workdir of a network whose weights are in `file`, at step 0; once more, it makes the same.

    Args:
        file: as `read_tensors` takes.
        workdir: a new one, or one made by the same call.
        source: as in `import_weights`.
        wanted: what the file does not say.

    Returns:
        `workdir`, `model`, `source`, `file`, its `sha256`, `parameters` and `step`.

    Raises:
        ConfigError: a model, source, data or workdir that do not go together.
        DataError: a file that is broken, or tensors that are not this network's.
        CheckpointError: the workdir cannot be written.
    """
    file, workdir = Path(file), Path(workdir)
    if source == OWN:
        tensors = read_tensors(file)
        config, spec, images = *_own(file, wanted), None
    else:
        config, spec, images = _foreign(source, wanted)
        tensors = None
    _check_free(workdir, config)
    tensors = read_tensors(file) if tensors is None else tensors
    # Several devices are for training; the state is the same on one.
    program = build(resolve(override(config, ["num_devices=1", "parallel=jit"])), spec)
    variables = import_weights(program.model, tensors, source, input_shape=spec.image_shape)
    if images is not None and images.reversed_channels:
        variables = _rgb(variables)
    # The state of a run whose network begins with these weights.
    state = create_state(
        program.task._replace(init=lambda key: variables),
        program.recipe.rule,
        config.seed,
        average=program.recipe.average is not None,
        plateau=config.schedule.name == "plateau",
    )
    origin = {"source": source, "file": str(file), "sha256": _sha256(file)}
    open_workdir(workdir, config)
    write_json(workdir / DATASET, spec._asdict())
    write_environment(workdir)
    (workdir / METRICS).touch()
    meta = {"window": {}, "validation": None, "waited": 0, "seconds": 0.0, "imported": origin}
    Checkpoints(workdir / "checkpoints", better).save(0, state, meta)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return {"workdir": str(workdir), "model": config.model.name, **origin, "parameters": parameters, "step": 0}


def export_file(
    file: str | Path, names: str, *, model: Any, variables: Mapping[str, Any], config: Any, spec: DataSpec, step: int
) -> dict[str, Any]:
    """Writes a run's network as safetensors.

    Under our own names the file holds config and data's description, too, so that `import_file` needs nothing else.

    Args:
        file: where to.
        names: a source as in `export_weights`.
        model: the run's.
        variables: the run's.
        config: the run's.
        spec: the run's.
        step: the run's.

    Returns:
        `file`, `model`, `names`, `step`, the number of `tensors`, and `bytes`.

    Raises:
        ConfigError: the source has no such network.
        CheckpointError: the file cannot be written.
    """
    tensors = export_weights(model, variables, names)
    name = config.model.name
    metadata = {"format": "pt" if names in ("torchvision", "timm") else names, "model": name, "step": str(step)}
    if names == OWN:
        metadata |= {"config": canonical_json(config), "dataset": json.dumps(spec._asdict())}
    write_safetensors(file, tensors, metadata)
    size = Path(file).stat().st_size
    return {"file": str(file), "model": name, "names": names, "step": step, "tensors": len(tensors), "bytes": size}


def _own(file: Path, wanted: Wanted) -> tuple[Any, DataSpec]:
    """Config and data's description out of a file that `export_file` wrote."""
    if any(value for value in wanted):
        raise ConfigError(278, f"a file with our own names says itself what it is: give {file} and --workdir alone")
    try:
        metadata = read_metadata(file)
        return resolve(json.loads(metadata["config"])), DataSpec.from_json(json.loads(metadata["dataset"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(130, f"{file} was not written by cnn-jax export: it has no config in it") from error


def _foreign(source: str, wanted: Wanted) -> tuple[Any, DataSpec, Preprocessing]:
    """Config, data's description and preprocessing of a network that was trained elsewhere."""
    if wanted.model is None:
        legal = ", ".join(sorted(SOURCES[source].families)) if source in SOURCES else ""
        raise ConfigError(279, f"weights of {source} need --model=NAME, a network such as {legal}")
    model = models.create(wanted.model)
    check_source(model, source)
    family = family_of(SOURCES[source], source, model).preprocessing
    images = family._replace(
        mean=tuple(wanted.mean or family.mean),
        std=tuple(wanted.std or family.std),
        reversed_channels=family.reversed_channels and wanted.mean is None,
    )
    # A network that is not trained here needs an optimiser without state, and the shortest of runs.
    base = {
        "model.name": wanted.model,
        "data": NO_DATA,
        "batch_size": 1,
        "num_devices": 1,
        "optimizer.name": "sgd",
        "total_steps": 1,
    }
    config = resolve(override(base, wanted.overrides))
    if config.data == NO_DATA:
        spec = DataSpec.from_json(
            {
                "name": NO_DATA,
                "classes": wanted.classes or [str(i) for i in range(model.num_classes)],
                "image_shape": wanted.input_shape or default_input(wanted.model),
                "mean": images.mean,
                "std": images.std,
                "sizes": {"train": 1},
                "fingerprint": NO_DATA,
            }
        )
    else:
        dataset = load_config_data(config)
        batch = f"batch_size={min(_EVALUATION_BATCH, len(dataset.splits['train']))}"
        config = resolve(override(base, [batch, *wanted.overrides]))
        spec = DataSpec.of(dataset, config)._replace(mean=images.mean, std=images.std)
        if wanted.input_shape and tuple(wanted.input_shape) != spec.image_shape:
            raise ConfigError(
                280, f"--input={wanted.input_shape} but the images of {config.data} are {spec.image_shape}"
            )
        spec = spec if wanted.classes is None else spec._replace(classes=tuple(wanted.classes))
    if len(spec.classes) != model.num_classes:
        raise ConfigError(
            281, f"{wanted.model} tells {model.num_classes} classes apart, not {len(spec.classes)}: "
            "give their names, or data with the same classes in the same order"
        )  # fmt: skip
    if len({len(spec.mean), len(spec.std), spec.image_shape[-1]}) > 1:
        raise ConfigError(
            282, f"mean {spec.mean} and std {spec.std} are not one of each per channel of {spec.image_shape}"
        )
    return config, spec, images


def _check_free(workdir: Path, config: Any) -> None:
    check_workdir(workdir, config)
    trained = [c.step for c in Checkpoints(workdir / "checkpoints", better).all() if c.step > 0]
    if trained:
        raise ConfigError(283, f"{workdir} holds a network trained to step {trained[-1]}: use another --workdir")


def _rgb(variables: dict[str, Any]) -> dict[str, Any]:
    """The same network for RGB that was trained on BGR: its first kernel's input channels the other way round."""
    first = variables["params"]["conv1"]
    params = {**variables["params"], "conv1": {**first, "kernel": first["kernel"][..., ::-1, :]}}
    return {**variables, "params": params}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
