"""One step on 1, 2, 4 and 8 devices, by `jit` over a mesh and by `pmap`, is the step on one device."""

from __future__ import annotations

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import nn
from cnn_jax.config import resolve
from cnn_jax.errors import Preempted
from cnn_jax.evaluate import load
from cnn_jax.tasks import classify
from cnn_jax.train.epoch import make_steps
from cnn_jax.train.loop import train
from cnn_jax.train.optim import make_optimizer
from cnn_jax.train.parallel import make_layout
from cnn_jax.train.state import create_state
from cnn_jax.train.step import Recipe
from tests.toy import toy_config, toy_dataset

BATCH = 16


class Net(fnn.Module):
    """A convolution, a batch norm, dropout if asked for, a classifier."""

    rate: float = 0.0
    norm: bool = True

    @fnn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(4, 3, padding=1, name="conv1")(x)
        x = nn.BatchNorm(name="norm1")(x, train=train) if self.norm else x
        x = jax.nn.relu(x)[:, ::2, ::2].reshape(len(x), -1)
        x = fnn.Dropout(self.rate, deterministic=not train)(x)
        return nn.Dense(3, name="fc")(x), {}


def unchanged(key, epoch, index, batch):
    return batch


def recipe_of(net):
    task = classify(net, (8, 8, 3), mean=(0.5,) * 3, std=(0.2,) * 3)
    return Recipe(task, make_optimizer(resolve({"total_steps": 1}).optimizer, lambda step: 0.1, ()))


@pytest.fixture(scope="module")
def data():
    split = toy_dataset(train=48, size=8).splits["train"]
    return {"image": split.image, "label": split.label}


def steps(net, data, parallel, devices, count=1):
    recipe = recipe_of(net)
    layout = make_layout(parallel, devices, BATCH)
    run_steps = layout.compile(make_steps(recipe, unchanged, batch_size=BATCH, max_steps=3, layout=layout))
    state = layout.put(create_state(recipe.task, recipe.rule, 0))
    state, metrics, finite = run_steps(state, layout.put(data), np.int32(count))
    assert bool(finite)
    return jax.device_get((state.params, state.model_state, metrics["loss"][:count]))


def assert_close(ours, theirs, atol=1e-6):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.fixture(scope="module")
def on_one_device(data):
    return steps(Net(), data, "jit", 1, count=3)


@pytest.mark.parametrize(
    ("parallel", "devices"), [("jit", 2), ("jit", 4), ("jit", 8), ("pmap", 1), ("pmap", 2), ("pmap", 8)]
)
def test_batch_norm_is_over_the_whole_batch(data, on_one_device, parallel, devices):
    """Three steps: the statistics that normalise, the running ones, the gradients through both, the loss."""
    found = steps(Net(), data, parallel, devices, count=3)
    assert_close(found, on_one_device)
    # Statistics of each device's share alone would be far off.
    initial = create_state(recipe_of(Net()).task, recipe_of(Net()).rule, 0)
    moved = [np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (found[1], initial.model_state)), strict=True)]
    assert min(moved) > 1e-3


def test_dropout_over_a_mesh_drops_what_one_device_drops(data):
    """Under `jit` the batch is one array: random bits are a function of the place in it, wherever that lies."""
    net = Net(rate=0.5)
    assert_close(steps(net, data, "jit", 4), steps(net, data, "jit", 1))


def test_dropout_under_pmap_draws_for_each_replica(data):
    """Under `pmap` each replica folds its number into the key: the step is the mean of its replicas' gradients.

    That is what equality means there: replicas must not drop the same units, so the masks are not those of one device.
    """
    net = Net(rate=0.5, norm=False)
    found, _, losses = steps(net, data, "pmap", 2)
    recipe = recipe_of(net)
    state = create_state(recipe.task, recipe.rule, 0)
    order_key = jax.random.split(jax.random.fold_in(state.key, jnp.int32(-1)))[0]
    index = jax.random.permutation(jax.random.fold_in(order_key, 0), 48)[:BATCH]
    key = jax.random.fold_in(state.key, 0)

    @jax.jit
    def mean_over_replicas(params):
        total = 0.0
        for replica, rows in enumerate(index.reshape(2, -1)):
            share = {name: jnp.asarray(values)[rows] for name, values in data.items()}
            total += recipe.task.loss({"params": params}, share, jax.random.fold_in(key, replica))[0] / 2
        return total

    loss, gradient = jax.value_and_grad(mean_over_replicas)(state.params)
    np.testing.assert_allclose(losses[0], loss, rtol=1e-6)
    # Momentum's first step is the gradient times the rate.
    assert_close(found, jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradient))
    on_one_device = steps(net, data, "jit", 1)[0]
    assert np.abs(found["fc"]["kernel"] - on_one_device["fc"]["kernel"]).max() > 1e-4


def test_a_checkpoint_goes_on_with_other_devices(tmp_path):
    """The same global batch: eight devices begin, two go on, and come out where one device comes out."""
    dataset = toy_dataset()
    one = toy_config()
    train(one, tmp_path / "one", dataset=dataset, progress=False)
    with pytest.raises(Preempted):
        train(toy_config(num_devices=8), tmp_path / "moved", dataset=dataset, progress=False, stop_at=7)
    train(toy_config(num_devices=2), tmp_path / "moved", dataset=dataset, progress=False)
    assert_close(load(tmp_path / "moved", step=12).variables, load(tmp_path / "one", step=12).variables)
