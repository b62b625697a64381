"""`config.augment` inside training: one key an example and epoch, whatever the batch, its parts and the devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.augmentations import AUGMENTATIONS
from cnn_jax.errors import ConfigError
from cnn_jax.tasks import classify
from cnn_jax.train.augment import make_augment
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.cache import runs_once
from tests.toy import toy_config, toy_dataset

EVERYTHING = tuple(AUGMENTATIONS)
COUNT, CLASSES = 64, 5
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (COUNT, 16, 16, 3), np.uint8)
LABELS = GENERATOR.integers(0, CLASSES, COUNT).astype(np.int32)
COVARIANCE = np.cov(IMAGES.reshape(-1, 3).T / 255)
KEY = jax.random.key(6)


def _augment(entries):
    return make_augment(entries, num_classes=CLASSES, covariance=COVARIANCE.tolist())


def _compiled(entries):
    return jax.jit(_augment(entries), compiler_options=runs_once())


def _apply(augment, index, epoch):
    index = np.asarray(index, np.int32)
    batch = {"image": IMAGES[index], "label": LABELS[index]}
    return jax.tree.map(np.asarray, augment(KEY, jnp.full(len(index), epoch, jnp.int32), jnp.asarray(index), batch))


def test_a_batch_is_the_same_in_parts_and_in_another_order():
    # More than 2^15 numbers: some fusions of XLA:CPU mix up rows from there on.
    entries = (
        "alternating_flip",
        "pad_crop:4",
        "elastic:10",
        "contrast",
        "hue:0.1",
        "pca_colour:1",
        "cutout",
        "mixup:1",
    )
    augment = _compiled(entries)
    whole = _apply(augment, range(COUNT), 2)
    assert whole["image"].dtype == np.uint8
    assert whole["image"].shape == IMAGES.shape
    assert whole["image"].size > 2**15
    # Neighbours stay partners.
    order = np.arange(COUNT).reshape(-1, 2)[::-1].reshape(-1)
    for start in range(0, COUNT, 32):
        chosen = order[start : start + 32]
        part = _apply(augment, chosen, 2)
        # A rounding may fall otherwise where a compiler vectorises another length otherwise.
        difference = np.abs(part["image"].astype(int) - whole["image"][chosen])
        assert difference.max() <= 2
        assert (difference > 0).mean() < 1e-3
        np.testing.assert_allclose(part["label"], whole["label"][chosen], atol=1e-6)


def test_another_epoch_or_example_is_another_draw_and_the_same_is_the_same():
    augment = _compiled(("pad_crop:4", "cutout"))
    first, again, later = (_apply(augment, [3, 3, 7, 7], epoch)["image"] for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], first[1])
    assert (first != later).any((1, 2, 3)).all()


def test_entries_apply_in_order_and_draw_for_themselves():
    both = _apply(_compiled(("pad_crop:3", "pad_crop:3")), range(COUNT), 0)["image"]
    once = _apply(_compiled(("pad_crop:3",)), range(COUNT), 0)["image"]
    # Twice the same draw would be two equal moves; `ops` with the keys of the second place is another.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(KEY, 0), 11), 1)
    np.testing.assert_array_equal(both[11], ops.pad_crop(key, jnp.asarray(once[11]), pad=3))


def test_alternating_flip_mirrors_every_other_epoch():
    augment = _compiled(("alternating_flip",))
    epochs = [_apply(augment, range(COUNT), epoch)["image"] for epoch in range(4)]
    mirrored = [(images == IMAGES[:, :, ::-1]).all((1, 2, 3)) for images in epochs]
    assert 0.3 < mirrored[0].mean() < 0.7
    for epoch in range(3):
        np.testing.assert_array_equal(mirrored[epoch], ~mirrored[epoch + 1])
        np.testing.assert_array_equal(
            epochs[epoch], np.where(mirrored[epoch][:, None, None, None], IMAGES[:, :, ::-1], IMAGES)
        )


def test_labels_are_soft_only_where_examples_are_mixed():
    plain, mixed = (_apply(_compiled((name,)), range(4), 0)["label"] for name in ("flip", "mixup:1"))
    np.testing.assert_array_equal(plain, LABELS[:4])
    assert mixed.shape == (4, CLASSES)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)


class _Constant:
    """A network whose logits are its parameter: what the loss does with labels shows."""

    def init(self, rngs, image, *, train):
        return {"params": {"logits": jnp.zeros(CLASSES)}}

    def apply(self, variables, image, *, train, rngs=None, mutable=False):
        logits = jnp.tile(variables["params"]["logits"][None], (len(image), 1))
        return ((logits, {}), {}) if mutable is not False else (logits, {})


def test_the_loss_of_mixed_examples_is_the_mixture_of_losses():
    task = classify(_Constant(), (2, 2, 3), mean=(0.5,) * 3, std=(0.2,) * 3, label_smoothing=0.1)
    logits = jnp.array([3.0, 1.0, 0.0, -1.0, 2.0])
    image = np.zeros((2, 2, 2, 3), np.uint8)

    def loss(label):
        value, (_, metrics) = task.loss(
            {"params": {"logits": logits}}, {"image": jnp.asarray(image), "label": label}, KEY
        )
        return float(value), float(metrics["accuracy"])

    one_hot = np.eye(CLASSES, dtype=np.float32)
    hard = [loss(jnp.array([k, k])) for k in (0, 4)]
    assert loss(jnp.asarray(one_hot[[0, 0]])) == pytest.approx(hard[0])
    soft = 0.7 * one_hot[0] + 0.3 * one_hot[4]
    value, accuracy = loss(jnp.asarray(np.stack([soft, soft])))
    assert value == pytest.approx(0.7 * hard[0][0] + 0.3 * hard[1][0], rel=1e-5)
    assert accuracy == pytest.approx(0.7)


def test_one_device_and_pmap_train_alike_on_mixed_examples():
    dataset = toy_dataset()
    changes = {"augment": ("pad_crop:2", "mixup:1"), "model__name": "linear"}
    states = []
    for layout in ({}, {"num_devices": 4, "parallel": "pmap"}):
        program = build(toy_config(**changes, **layout), DataSpec.of(dataset))
        split = dataset.splits["train"]
        data = program.layout.put({"image": split.image, "label": split.label})
        state, columns, _ = program.run_steps(
            program.layout.put(program.create_state(jnp.int32(0))), data, jnp.int32(2)
        )
        states.append((jax.device_get(state.params), jax.device_get(columns)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *states)


def test_pairs_that_cannot_be_are_refused_before_anything_runs():
    dataset = toy_dataset()
    for changes in ({"batch_size": 15}, {"batch_size": 24, "parallel": "pmap", "num_devices": 8}, {"accumulate": 32}):
        with pytest.raises(ConfigError, match=r"E-CONF-130.*batch_size"):
            build(toy_config(augment=("mixup",), **changes), DataSpec.of(dataset))


def test_everything_at_once_can_be_traced_in_a_step():
    dataset = toy_dataset()
    program = build(toy_config(augment=EVERYTHING, label_smoothing=0.1), DataSpec.of(dataset))
    data = {
        "image": jax.ShapeDtypeStruct((150, 12, 12, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct((150,), jnp.int32),
    }
    state = program.abstract_state
    after, metrics, _ = jax.eval_shape(program.steps, state, data, jax.ShapeDtypeStruct((), jnp.int32))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {"loss", "accuracy"} <= metrics.keys()
