"""`augment`: training images, what each entry of `config.augment` makes of them alone, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.augmentations import read_augmentations
from cnn_jax.data import Dataset
from cnn_jax.errors import ConfigError
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import spread
from cnn_jax.inspect.sheet import contact_sheet
from cnn_jax.train.augment import make_augment
from cnn_jax.train.loop import load_config_data

EXAMPLES = 8
DRAWS = 4
"""How often all augmentations together are drawn."""


def inspect(request: Request) -> Inspection:
    """The sheet for a config: one row an image.

    Raises:
        ConfigError: `config.augment` is empty, or not legal.
        DataError: data that is missing or broken.
    """
    entries = request.config.augment
    if not entries:
        legal = "flip,pad_crop:4"
        raise ConfigError(131, f"config.augment is empty, there is nothing to show: set --config.augment={legal}")
    dataset = load_config_data(request.config)
    index = choose(dataset, request.examples or EXAMPLES, request.config.seed)
    shown = augmented(dataset, index, entries, request.config.seed)
    original = _images(dataset, index)
    # Averages over colours and pixels, in grey levels.
    changes = [float(np.abs(images.astype(np.float32) - original).mean()) for images, _ in shown]
    columns = ["original", *entries, *(f"all together, draw {draw + 1}" for draw in range(DRAWS))]
    classes = [dataset.classes[label] for label in dataset.splits["train"].label[index]]
    captions = [[""] * len(index), *([_caption(row, dataset.classes) for row in labels] for _, labels in shown)]
    picture = contact_sheet(
        [list(row) for row in zip(original, *(images for images, _ in shown), strict=True)],
        columns,
        classes,
        [list(row) for row in zip(*captions, strict=True)],
    )
    read = read_augmentations(entries)
    facts = {
        "data": dataset.name,
        "columns": columns,
        "examples": [{"index": int(i), "class": name} for i, name in zip(index, classes, strict=True)],
        "augment": [
            {"entry": entry.text, "name": entry.name, "parameters": entry.parameters, "mean_change": round(change, 3)}
            for entry, change in zip(read, changes, strict=False)
        ],
        "together": {"draws": DRAWS, "mean_change": round(float(np.mean(changes[len(read) :])), 3)},
    }
    return Inspection({"augment": picture}, facts, _lines(facts))


def choose(dataset: Dataset, examples: int, seed: int) -> np.ndarray:
    """Which training images to show, int `[min(examples, N)]`: one of each class in turn, drawn by the seed."""
    return spread(dataset.splits["train"].label, examples, seed)


def augmented(
    dataset: Dataset, index: np.ndarray, entries: Sequence[str], seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each entry alone on the training images at `index`, then all together `DRAWS` times.

    Returns:
        Images uint8 `[n, H, W, C]` and labels, int32 `[n]` or, mixed, float32 `[n, num_classes]`.
    """
    covariance = dataset.covariance().tolist()
    # Mixing takes pairs; who is alone gets the first for a partner.
    even = np.concatenate([index, index[:1]]) if len(index) % 2 else index
    batch = {
        "image": jnp.asarray(_images(dataset, even)),
        "label": jnp.asarray(dataset.splits["train"].label[even]),
    }

    def apply(chosen: Sequence[str], draw: int) -> tuple[np.ndarray, np.ndarray]:
        augment = make_augment(chosen, num_classes=dataset.num_classes, covariance=covariance)
        epoch = jnp.full(len(even), draw, jnp.int32)
        made = augment(jax.random.key(seed), epoch, jnp.asarray(even, jnp.int32), batch)
        return np.asarray(made["image"])[: len(index)], np.asarray(made["label"])[: len(index)]

    return [apply([entry], 0) for entry in entries] + [apply(entries, draw) for draw in range(DRAWS)]


def _images(dataset: Dataset, index: np.ndarray) -> np.ndarray:
    # One by one: those of a large data set are read from their files.
    return np.stack([np.asarray(dataset.splits["train"].image[int(i)]) for i in index])


def _lines(facts: Mapping[str, Any]) -> list[str]:
    rows = [(fact["entry"], _said(fact["parameters"]), fact["mean_change"]) for fact in facts["augment"]]
    rows.append(("all together", "", facts["together"]["mean_change"]))
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return [
        f"{entry:<{widths[0]}}  {said:<{widths[1]}}  changes a pixel by {change:.1f} of 255"
        for entry, said, change in rows
    ]


def _said(parameters: Mapping[str, float | str]) -> str:
    return ", ".join(
        f"{key} {value if isinstance(value, str) else format(value, '.4g')}" for key, value in parameters.items()
    )


def _caption(label: np.ndarray, classes: Sequence[str]) -> str:
    """What a mixed example counts as; nothing for the others."""
    if label.ndim == 0:
        return ""
    likeliest = [int(k) for k in np.argsort(-label, kind="stable")[:2] if label[k] > 0.005]
    return "\n".join(f"{label[k]:.2f} {classes[k]}" for k in likeliest)
