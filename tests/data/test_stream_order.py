"""The order in NumPy is the order in JAX, whose permutations are the reference."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.order import HostOrder, key_of_order
from cnn_jax.data.stream import batch_at, order_from


@pytest.mark.parametrize("num_examples", [1, 2, 7, 150, 3000])
@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_both_orders_are_one(num_examples, seed):
    key = jax.random.key(seed)
    order_key, _ = jax.random.split(jax.random.fold_in(key, jnp.int32(-1)))
    host = HostOrder(key_of_order(np.asarray(jax.random.key_data(key))), num_examples)
    for start in (0, 5 * num_examples + num_examples // 2):
        order = order_from(order_key, jnp.int32(start), num_examples)
        index, epoch = batch_at(order, jnp.int32(start), num_examples)
        found = [host.at(start + i) for i in range(num_examples)]
        assert [i for i, _ in found] == index.tolist()
        assert [e for _, e in found] == epoch.tolist()


def test_another_key_gives_another_order():
    orders = [HostOrder(np.array([0, seed], np.uint32), 50) for seed in (1, 2)]
    a, b = ([order.at(i)[0] for i in range(50)] for order in orders)
    assert sorted(a) == sorted(b) == list(range(50))
    assert a != b
