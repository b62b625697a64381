"""A training as one call is the training step by step, and its accuracy the share that NumPy counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.evaluate.views import average_logits, speedrun_logits, speedrun_views
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.cache import runs_often
from cnn_jax.train.verify import compare
from cnn_jax.train.whole import make_whole, train_whole
from tests.toy import toy_config, toy_dataset

pytestmark = pytest.mark.slow

NARROW = {"model.name": "airbench:94-muon,features=(4,)", "freeze": ("whiten/kernel",)}
MUON = {
    "optimizer.name": "muon",
    "optimizer.learning_rate": 0.2,
    "optimizer.kernel_norm": True,
    "optimizer.groups.*norm*": 20.0,
    "optimizer.groups.whiten": 20.0,
    "optimizer.groups.head": 50.0,
    "optimizer.until.whiten": 0.4,
    "average.name": "ema",
    "augment": ("alternating_flip", "pad_crop:2,mode=reflect"),
    "total_steps": 14,
}


@pytest.fixture(scope="module")
def dataset():
    return toy_dataset(size=8)


@pytest.fixture(scope="module")
def trained(dataset):
    """State and right answers of the whole call, and the state of the same run in the loop's calls."""
    config = toy_config(**NARROW, **MUON)
    spec = DataSpec.of(dataset, config)
    program = build(config, spec)
    data = {
        name: program.layout.put({"image": split.image, "label": split.label}) for name, split in dataset.splits.items()
    }
    whole = jax.jit(make_whole(program, config, spec, speedrun_logits), compiler_options=runs_often())
    state, right = whole(jnp.int32(5), data["train"], data["test"])
    stepped = program.layout.put(program.create_state(jnp.int32(5)))
    for steps in (3, 4, 1, 4, 2):
        stepped, _, finite = program.run_steps(stepped, data["train"], jnp.int32(steps))
        assert finite
    return program, state, right, stepped


def test_whole_training_is_the_stepwise_one_bit_for_bit(trained):
    _, state, _, stepped = trained
    assert int(state.step) == 14
    assert [str(difference) for difference in compare(0, stepped, state)] == []


def test_accuracy_is_counted_over_every_example_once(trained, dataset):
    program, state, right, _ = trained
    test = dataset.splits["test"]
    views, weights = speedrun_views(jnp.asarray(test.image))
    logits_of = jax.jit(program.task.logits)
    logits = jnp.stack([logits_of(state.eval_variables, view) for view in views])
    best = np.asarray(average_logits(logits, weights)).argmax(axis=-1)
    assert int(right) == (best == test.label).sum() > 0.6 * len(test.label)  # of three classes


def test_frozen_whitening_stays_and_its_bias_rests_after_its_share(trained):
    program, state, _, _ = trained
    start = program.create_state(jnp.int32(5))
    np.testing.assert_array_equal(state.params["whiten"]["kernel"], start.params["whiten"]["kernel"])
    assert np.all(np.asarray(state.params["whiten"]["bias"]) != 0)


def test_runs_of_several_seeds_are_timed(dataset):
    config = toy_config(total_steps=6)
    runs = train_whole(config, dataset, [1, 2, 1])
    assert runs.accuracies[0] == runs.accuracies[2]
    assert len(runs.seconds) == 3
    assert min(runs.seconds) > 0
    assert runs.compile_seconds > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parallel": "pmap"}, "parallel=pmap"),
        ({"schedule.name": "plateau"}, "waits for validation"),
        ({"early_stopping": 3}, "waits for validation"),
        ({"init_from": "runs/a"}, "init_from"),
    ],
)
def test_what_decides_on_the_way_is_refused(dataset, changes, words):
    config = toy_config(**changes)
    spec = DataSpec.of(dataset)
    with pytest.raises(ConfigError, match=words):
        make_whole(build(config, spec), config, spec)


def test_a_network_that_whitens_needs_what_was_measured(dataset):
    with pytest.raises(ConfigError, match="whitens patches of 2x2"):
        build(toy_config(**NARROW), DataSpec.of(dataset))


def test_the_first_layer_whitens_the_training_images(trained, dataset):
    """Covariance of what the layer gives for all patches of the standardised images: the identity, but for epsilon."""
    _, state, _, _ = trained
    mean, std = dataset.statistics()
    images = (dataset.splits["train"].image / 255 - mean) / std
    kernel = np.asarray(state.params["whiten"]["kernel"], np.float64)[..., :12]
    outputs = np.stack(
        [
            np.tensordot(images[:, y : y + 2, x : x + 2], kernel, axes=3)
            for y in range(7)
            for x in range(7)
        ]
    ).reshape(-1, 12)  # fmt: skip
    np.testing.assert_allclose(np.cov(outputs, rowvar=False), np.eye(12), atol=5e-3)
    np.testing.assert_array_equal(state.params["whiten"]["kernel"][..., 12:], -kernel.astype(np.float32))
