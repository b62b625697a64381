"""The papers' training recipes: each number as printed, and a step of each full-size network, traced."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config import load_config
from cnn_jax.train.build import DataSpec, build, total_steps_of
from cnn_jax.train.schedule import make_schedule

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs" / "papers").glob("*.py"))
ROWS = json.loads((ROOT / "tests" / "facts" / "recipes.json").read_text())
IMAGES = {"tfds:imagenet2012": 1_281_167, "tfds:cifar10": 45_000, "tfds:mnist": 60_000}
LARGE = ("googlenet", "resnet", "xception")
CLASSES = {"tfds:imagenet2012": 1000}


def config_of(name, arg=""):
    return load_config(f"{ROOT / 'configs' / 'papers' / name}.py{':' + arg if arg else ''}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['config']}:{row['arg']}-{row['key']}")
def test_the_number_is_the_papers(row):
    value = config_of(row["config"], row["arg"])
    for key in row["key"].split("."):
        value = value[key]
    wanted = tuple(row["value"]) if isinstance(row["value"], list) else row["value"]
    assert value == (pytest.approx(wanted) if isinstance(wanted, float) else wanted), row["source"]


def test_every_paper_has_rows_and_every_row_a_source():
    assert {row["config"] for row in ROWS} == {path.stem for path in CONFIGS}
    assert all(len(row["source"]) > 15 for row in ROWS)
    keys = [(row["config"], row["arg"], row["key"]) for row in ROWS]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_docstring_is_a_contract(path):
    """Command, sections of the paper, its result, and what departs from it."""
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text is not None
    assert f"cnn-jax train --config=configs/papers/{path.name}" in text
    for word in ("section", "error", "Left out" if path.stem != "resnet_cifar" else "Ours"):
        assert word in text, word


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] * (p.stem in LARGE)) for p in CONFIGS]
)
def test_a_step_of_the_full_network_fits_together(path):
    config = config_of(path.stem)
    size = config.image_size or 32
    channels = 1 if config.data == "tfds:mnist" else 3
    images = IMAGES[config.data]
    spec = DataSpec(
        config.data,
        tuple(map(str, range(CLASSES.get(config.data, 10)))),
        (size, size, channels),
        (0.5,) * channels,
        (0.25,) * channels,
        {"train": images, "validation": 50_000},
        "",
        ((0.05, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, 0.0, 0.05)),
    )
    program = build(config, spec)
    state = program.abstract_state
    data = {
        "image": jax.ShapeDtypeStruct((images, size, size, channels), jnp.uint8),
        "label": jax.ShapeDtypeStruct((images,), jnp.int32),
    }
    after, metrics, finite = jax.eval_shape(program.steps, state, data, jnp.int32(1))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )
    assert metrics["loss"].shape == (program.max_steps,)
    assert finite.shape == ()
    assert (after.plateau is not None) == (config.schedule.name == "plateau")
    assert (after.average is not None) == (config.average.name != "none")
    if "aux_weight" in path.read_text():
        assert {"aux_4a", "aux_4d"} <= set(after.params)


def rates_at(name, arg, steps, images):
    config = config_of(name, arg)
    total = total_steps_of(config, images)
    schedule = make_schedule(config.schedule, config.optimizer.learning_rate, total, images / config.batch_size)
    return np.array([schedule(step) for step in steps], np.float64)


def test_the_rates_are_the_papers():
    """LeNet-5's table of rates by pass, ResNet's two divisions and its warm-up, Xception's 0.94 every two epochs."""
    passes = [0, 1, 2, 4, 5, 7, 8, 11, 12, 19]
    by_pass = [5e-4, 5e-4, 2e-4, 2e-4, 1e-4, 1e-4, 5e-5, 5e-5, 1e-5, 1e-5]
    middles = [60_000 * one + 30_000 for one in passes]
    np.testing.assert_allclose(rates_at("lenet_1998", "", middles, 60_000), by_pass, rtol=1e-5)
    steps = [0, 399, 400, 31_999, 32_001, 47_999, 48_001, 63_999]
    np.testing.assert_allclose(
        rates_at("resnet_cifar", "110", steps, 45_000), [0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5
    )
    epochs = [0, 1, 2.5, 10.5]
    steps = [round(epoch * 1_281_167 / 256) for epoch in epochs]
    np.testing.assert_allclose(
        rates_at("xception", "", steps, 1_281_167), [0.045 * 0.94 ** (epoch // 2) for epoch in epochs], rtol=1e-5
    )
