"""Numbers that a compiled program is given: what shares a program, and that it computes what a constant would."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config import resolve
from cnn_jax.data.stream import batch_at, order_from
from cnn_jax.schema import SCHEMA
from cnn_jax.train import build as build_module
from cnn_jax.train.build import DataSpec, build, program_key
from cnn_jax.train.scalars import SCALARS, filled, split
from tests.toy import toy_config, toy_dataset

EVERY = {
    "optimizer__name": "adam",
    "optimizer__beta1": 0.8,
    "optimizer__beta2": 0.95,
    "optimizer__epsilon": 1e-6,
    "optimizer__weight_decay": 1e-2,
    "optimizer__clip_norm": 0.5,
    "schedule__warmup_steps": 3,
    "schedule__warmup_from": 0.2,
    "label_smoothing": 0.2,
    "average__name": "ema",
    "average__decay": 0.8,
    "model__name": "lenet:small,features=(4),kernel_size=3,head_features=(8)",
}
OTHERS = {
    "optimizer__beta1": 0.7,
    "optimizer__beta2": 0.9,
    "optimizer__epsilon": 1e-5,
    "optimizer__weight_decay": 3e-2,
    "optimizer__clip_norm": 0.1,
    "optimizer__learning_rate": 0.01,
    "schedule__warmup_from": 0.5,
    "label_smoothing": 0.05,
    "average__decay": 0.5,
    "seed": 4,
}


def test_what_shares_a_program():
    one = program_key(toy_config(**EVERY))
    assert program_key(toy_config(**{**EVERY, **OTHERS})) == one
    for change in ({"batch_size": 16}, {"label_smoothing": 0.0}, {"schedule__name": "constant"}, {"total_steps": 13}):
        assert program_key(toy_config(**{**EVERY, **change})) != one, change


def test_split_and_filled_are_inverse():
    config = toy_config(**EVERY)
    shared, scalars = split(config)
    assert set(scalars) == set(SCALARS) - {"optimizer.momentum", "optimizer.rho", "optimizer.clip_value"}
    again = resolve(filled(shared, scalars))
    assert again.to_dict() == config.to_dict() | {"seed": 0}


def test_configs_of_one_program_compile_once_and_train_as_they_would_alone():
    dataset = toy_dataset()
    spec = DataSpec.of(dataset)

    def trained(**changes):
        program = build(toy_config(**{**EVERY, **changes}), spec)
        data = program.layout.put({"image": dataset.splits["train"].image, "label": dataset.splits["train"].label})
        state = program.layout.put(program.create_state(jnp.int32(3)))
        state, metrics, _ = program.run_steps(state, data, np.int32(4))
        return program, jax.device_get(state.eval_variables), float(metrics["loss"][3]), program.learning_rate(2)

    first, *ours = trained()
    second, *theirs = trained(**OTHERS)
    assert second.run_steps is first.run_steps
    assert second.run_steps._cache_size() == 1  # type: ignore[attr-defined]
    build_module._build.cache_clear()
    _, *alone = trained(**OTHERS)
    jax.tree.map(np.testing.assert_array_equal, alone, theirs)
    assert not np.allclose(ours[1], theirs[1])


def test_a_given_rate_is_the_constant_rate():
    """Against optax with the numbers written into the program."""
    dataset = toy_dataset(size=4)
    spec = DataSpec.of(dataset)
    config = toy_config(
        model__name="linear",
        optimizer__weight_decay=0.1,
        optimizer__momentum=0.7,
        schedule__name="constant",
        augment=(),
    )
    program = build(config, spec)
    state = program.create_state(jnp.int32(0))
    task, params = program.task, jax.tree.map(jnp.copy, state.params)
    tx = optax.chain(
        optax.add_decayed_weights(0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim >= 2, p)),
        optax.sgd(0.05, momentum=0.7),
    )
    opt_state = tx.init(params)
    data = program.layout.put({"image": dataset.splits["train"].image, "label": dataset.splits["train"].label})
    order_key, _ = jax.random.split(jax.random.fold_in(state.key, jnp.int32(-1)))
    for step in range(3):
        index, _ = batch_at(order_from(order_key, jnp.int32(0), 150), jnp.int32(step * 32), 32)
        batch = {"image": data["image"][index], "label": data["label"][index]}
        gradient = jax.grad(lambda p, b=batch: task.loss({"params": p}, b, state.key)[0])(params)
        updates, opt_state = tx.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
    state, _, _ = program.run_steps(program.layout.put(state), data, np.int32(3))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.params, params)


@pytest.mark.parametrize("key", SCALARS)
def test_every_scalar_is_a_number_of_the_schema(key):
    assert float in SCHEMA[key].types
    assert SCHEMA[key].legal(0.5)
