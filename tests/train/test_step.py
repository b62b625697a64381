"""One step: accumulation equals the big batch, frozen layers stay, auxiliary losses count, bfloat16 keeps float32."""

from __future__ import annotations

import dataclasses

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import nn
from cnn_jax.config import resolve
from cnn_jax.errors import ConfigError
from cnn_jax.tasks import classify
from cnn_jax.train.average import make_average
from cnn_jax.train.build import DataSpec, build, build_task
from cnn_jax.train.epoch import make_steps
from cnn_jax.train.optim import make_optimizer
from cnn_jax.train.parallel import make_layout
from cnn_jax.train.state import create_state
from cnn_jax.train.step import Recipe, train_step
from tests.toy import toy_config, toy_dataset

KEY = jax.random.key(3)


class Net(fnn.Module):
    """A convolution, a norm, a classifier, and an auxiliary classifier while training."""

    norm: bool = False
    num_classes: int = 3

    @fnn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(4, 3, padding=1, name="conv1")(x)
        x = nn.BatchNorm(name="norm1")(x, train=train) if self.norm else x
        x = jax.nn.relu(x).mean((1, 2))
        taps = {"pool1": x}
        if train or self.is_initializing():
            taps["aux_1"] = nn.Dense(self.num_classes, name="aux_1")(x)
        return nn.Dense(self.num_classes, name="fc")(x).astype(jnp.float32), taps


def make(norm=False, accumulate=1, freeze=(), dtype=jnp.float32, aux_weight=0.3):
    task = classify(Net(norm), (8, 8, 3), mean=(0.5,) * 3, std=(0.2,) * 3, dtype=dtype, aux_weight=aux_weight)
    rule = make_optimizer(resolve({"total_steps": 1}).optimizer, lambda step: 0.1, freeze)
    recipe = Recipe(task, rule, None, accumulate, freeze)
    return recipe, create_state(task, rule, 0)


def batch(n=12):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (n, 8, 8, 3)).astype(np.uint8)
    return {"image": jnp.asarray(image), "label": jnp.asarray(rng.integers(0, 3, n), jnp.int32)}


def part_of(data, parts):
    size = len(data["label"]) // parts
    return lambda p: jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, p * size, size), data)


def step(recipe, state, data):
    return jax.jit(lambda s: train_step(s, part_of(data, recipe.accumulate), recipe=recipe))(state)


def largest_difference(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(jnp.max(jnp.abs(x - y))) for x, y in pairs)


@pytest.mark.parametrize("parts", [2, 3, 12])
def test_accumulation_is_the_big_batch(parts):
    recipe, state = make()
    whole, metrics = step(recipe, state, batch())
    accumulated, accumulated_metrics = step(make(accumulate=parts)[0], state, batch())
    assert largest_difference(whole.params, state.params) > 1e-3
    assert largest_difference(whole.params, accumulated.params) < 1e-6
    for name in ("loss", "accuracy", "grad_norm"):
        np.testing.assert_allclose(metrics[name], accumulated_metrics[name], rtol=1e-5)


def test_batch_norm_sees_each_part_by_itself():
    """What accumulation cannot hide: the running mean goes through the parts one after another."""
    recipe, state = make(norm=True, accumulate=2)
    data = batch()
    after, _ = step(recipe, state, data)
    running = state.model_state
    for p in range(2):
        _, (running, _) = recipe.task.loss({"params": state.params, **running}, part_of(data, 2)(p), KEY)
    assert largest_difference(after.model_state, running) < 1e-6
    whole, _ = step(make(norm=True)[0], state, data)
    assert largest_difference(after.model_state, whole.model_state) > 1e-4


def test_frozen_layers_keep_parameters_and_statistics():
    recipe, state = make(norm=True, freeze=("conv1", "norm1"))
    after, _ = step(recipe, state, batch())
    for layer in ("conv1", "norm1"):
        assert largest_difference(after.params[layer], state.params[layer]) == 0
    assert largest_difference(after.model_state, state.model_state) == 0
    assert largest_difference(after.params["fc"], state.params["fc"]) > 1e-3
    free, _ = step(*make(norm=True), batch())
    assert largest_difference(free.model_state, state.model_state) > 1e-3


def test_a_frozen_norm_uses_its_running_statistics():
    """The loss is that of the network as it is evaluated, but for the auxiliary classifier."""
    recipe, state = make(norm=True, freeze=("norm1",), aux_weight=0.0)
    data = batch()
    _, metrics = step(recipe, state, data)
    sums = recipe.task.metrics(state.variables, {**data, "valid": jnp.ones(12, bool)})
    np.testing.assert_allclose(metrics["loss"], sums["loss"] / sums["count"], rtol=1e-5)


def test_auxiliary_losses_count_with_their_weight():
    recipe, state = make(aux_weight=0.0)
    data = batch()
    main, (_, metrics) = recipe.task.loss(state.variables, data, KEY)
    both, _ = make(aux_weight=0.3)[0].task.loss(state.variables, data, KEY)
    (_, taps), _ = Net().apply(state.variables, (data["image"] / 255 - 0.5) / 0.2, train=True, mutable=["batch_stats"])  # type: ignore[misc]
    log_softmax = np.asarray(jax.nn.log_softmax(taps["aux_1"]))
    auxiliary = -log_softmax[np.arange(12), np.asarray(data["label"])].mean()
    np.testing.assert_allclose(both - main, 0.3 * auxiliary, rtol=1e-4)
    np.testing.assert_allclose(metrics["loss"], main)


def test_googlenet_has_two_auxiliary_losses():
    spec = DataSpec("made up", ("a", "b"), (96, 96, 3), (0.5,) * 3, (0.2,) * 3, {"train": 8}, "")
    data = {"image": jax.ShapeDtypeStruct((2, 96, 96, 3), jnp.uint8), "label": jax.ShapeDtypeStruct((2,), jnp.int32)}
    losses = {}
    for heads in (False, True):
        name = f"googlenet:paper,width=0.0625,aux_heads={heads},modules=(3a,4a,4d)"
        _, task = build_task(toy_config(model__name=name, augment=()), spec)
        variables = jax.eval_shape(task.init, KEY)
        assert ({"aux_4a", "aux_4d"} <= set(variables["params"])) is heads
        jaxpr = jax.make_jaxpr(lambda v, b, task=task: task.loss(v, b, KEY)[0])(variables, data)
        # Every softmax takes its largest logit off.
        losses[heads] = sum(name == "reduce_max" for name, _ in dtypes(jaxpr.jaxpr, []))
    assert losses[True] == losses[False] + 2


def dtypes(jaxpr, found):
    for equation in jaxpr.eqns:
        found.append((equation.primitive.name, [v.aval.dtype for v in equation.invars if hasattr(v.aval, "dtype")]))
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if hasattr(inner, "jaxpr"):
                    dtypes(getattr(inner.jaxpr, "jaxpr", inner.jaxpr), found)
                elif hasattr(inner, "eqns"):
                    dtypes(inner, found)
    return found


def test_bfloat16_computes_in_bfloat16_and_keeps_float32():
    """Convolutions and matrix products see bfloat16; state, statistics, loss and every sum of them are float32."""
    recipe, state = make(norm=True, dtype=jnp.bfloat16)
    data = batch()
    after, metrics = jax.eval_shape(lambda s: train_step(s, part_of(data, 1), recipe=recipe), state)
    for leaf in jax.tree.leaves((after.params, after.model_state, after.opt_state, metrics)):
        assert leaf.dtype in (jnp.float32, jnp.int32)
    used = dtypes(jax.make_jaxpr(lambda s: train_step(s, part_of(data, 1), recipe=recipe))(state).jaxpr, [])
    products = [types for name, types in used if name in ("conv_general_dilated", "dot_general")]
    assert len(products) > 5
    assert all(dtype == jnp.bfloat16 for types in products for dtype in types)
    exact = [types for name, types in used if name in ("exp", "log", "rsqrt", "sqrt")]
    assert len(exact) > 2
    assert all(dtype == jnp.float32 for types in exact for dtype in types)
    loss, (model_state, _) = recipe.task.loss(state.variables, data, KEY)
    assert loss.dtype == jnp.float32
    # The statistics are those of float32 sums: sums of 768 bfloat16 numbers would be off in the second digit.
    full, (exact_state, _) = make(norm=True)[0].task.loss(state.variables, data, KEY)
    np.testing.assert_allclose(loss, full, rtol=0.01)
    assert largest_difference(model_state, exact_state) < 2e-3
    assert largest_difference(model_state, exact_state) > 0


def test_the_average_is_of_the_variables_after_each_step():
    """Parameters and statistics, of which Polyak's mean after three steps is that of the three states."""
    recipe, state = make(norm=True)
    average = make_average(resolve({"total_steps": 3, "average.name": "polyak"}).average, 3)
    recipe = recipe._replace(average=average)
    state = dataclasses.replace(state, average=state.variables)
    data = batch()
    one_step = jax.jit(lambda s: train_step(s, part_of(data, 1), recipe=recipe))
    seen = []
    for _ in range(3):
        state, _ = one_step(state)
        seen.append(state.variables)
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 3, *seen)
    assert largest_difference(state.eval_variables, mean) < 1e-6
    assert largest_difference(state.eval_variables, state.variables) > 1e-3
    assert largest_difference(state.average["batch_stats"], mean["batch_stats"]) < 1e-6


def test_pmap_accumulates_the_same_batch():
    """Four replicas with two parts each take the same step as one device with the whole batch."""
    data = jax.tree.map(np.asarray, batch(16))

    def plain(key, epoch, index, images):
        return images

    states = {}
    for parallel, devices, accumulate in (("jit", 1, 1), ("pmap", 4, 2)):
        recipe, state = make(accumulate=accumulate)
        layout = make_layout(parallel, devices, 8 // accumulate)
        run_steps = layout.compile(make_steps(recipe, plain, batch_size=8, max_steps=2, layout=layout))
        states[parallel], _, finite = run_steps(layout.put(state), layout.put(data), jnp.int32(2))
        assert bool(finite)
    assert largest_difference(*(jax.device_get(s.params) for s in states.values())) < 1e-6


def test_gradient_descent_takes_all_images():
    dataset = toy_dataset(train=30)
    spec = DataSpec.of(dataset)
    with pytest.raises(ConfigError, match=r"all 30 training images: set config\.batch_size=30"):
        build(toy_config(optimizer__name="gd", batch_size=15), spec)
    assert build(toy_config(optimizer__name="gd", batch_size=30), spec).max_steps == 1
