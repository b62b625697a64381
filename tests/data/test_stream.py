"""The order of examples: every epoch is one permutation, wherever a run is cut."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.data.stream import batch_at, order_from


def stream(num_examples, batch_size, steps, start=0, refresh=1):
    """Example indices and epochs of `steps` batches from stream position `start`."""
    key = jax.random.key(3)
    index, epoch = [], []
    order = order_from(key, jnp.int32(start), num_examples)
    for i in range(steps):
        position = jnp.int32(start + i * batch_size)
        if i % refresh == 0:
            order = order_from(key, position, num_examples)
        a, b = batch_at(order, position, batch_size)
        index.append(a)
        epoch.append(b)
    return np.concatenate(index), np.concatenate(epoch)


@settings(max_examples=6, deadline=None)
@given(num_examples=st.integers(2, 40), data=st.data())
def test_every_epoch_is_a_permutation(num_examples, data):
    batch_size = data.draw(st.integers(1, num_examples))
    steps = -(-3 * num_examples // batch_size)
    index, epoch = stream(num_examples, batch_size, steps)
    for e in range(3):
        assert sorted(index[epoch == e]) == list(range(num_examples))


def test_epochs_differ_and_a_restart_continues():
    whole, _ = stream(50, 10, 15)
    assert not np.array_equal(whole[:50], whole[50:100])
    rest, _ = stream(50, 10, 8, start=70)
    np.testing.assert_array_equal(rest, whole[70:])


@pytest.mark.parametrize("refresh", [1, 2, 5])
def test_how_often_the_order_is_drawn_changes_nothing(refresh):
    np.testing.assert_array_equal(stream(35, 7, 15, refresh=refresh)[0], stream(35, 7, 15)[0])
