"""Members on one device, several at a time: each is what it is alone, and traced where its caller is."""

from __future__ import annotations

import os
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.train import together
from cnn_jax.train.kept import Kept, Shelf
from cnn_jax.train.together import WAYS, at_a_time, side_by_side


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def kept(function, **more):
    return Kept(jax.jit(function, **more), "a function", Shelf())


def test_two_cores_compute_two_members_at_the_same_time():
    both = threading.Barrier(2)

    def meet(x):
        both.wait(60)  # broken unless another call comes
        return np.asarray(x)

    function = kept(lambda x: jax.pure_callback(meet, jax.ShapeDtypeStruct((3,), jnp.float32), x) + 1)
    members = [jnp.full(3, i, jnp.float32) for i in range(4)]
    found = side_by_side(function, members)
    np.testing.assert_array_equal(found, [[i + 1] * 3 for i in range(4)])


def test_each_is_what_it_is_alone_and_is_given_away():
    def steps(state, data, count):
        return jax.lax.fori_loop(0, count, lambda i, x: jnp.tanh(x @ data) + i * 0.1, state)

    keys = jax.random.split(jax.random.key(0), 5)
    data = jax.random.normal(jax.random.key(1), (40, 40))
    new = lambda: [jax.random.normal(key, (30, 40)) for key in keys]  # noqa: E731
    alone = [jax.jit(steps)(state, data, np.int32(7)) for state in new()]
    given = new()
    found = side_by_side(kept(steps, donate_argnums=(0,)), given, data, np.int32(7))
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(state.is_deleted() for state in given)


def test_what_a_caller_has_chosen_is_seen_while_tracing():
    where = []

    def function(x):
        where.append(threading.current_thread())
        return x

    side_by_side(kept(function), [jnp.ones(2)] * 4)
    assert where == [threading.main_thread()]


def test_an_error_of_one_is_raised():
    def fail(x):
        raise ValueError("no such member")

    function = kept(lambda x: jax.pure_callback(fail, jax.ShapeDtypeStruct((), jnp.float32), x))
    with pytest.raises(Exception, match="no such member"):
        side_by_side(function, [jnp.float32(1)] * 2)


def test_how_many(monkeypatch):
    assert [at_a_time(count) for count in (1, 2, 64)] == [1, 2, 2]
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert [at_a_time(count) for count in (1, 5, 64)] == [1, 5, 8]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert at_a_time(64) == 1, "a GPU's calls follow one another by themselves"


@pytest.mark.parametrize(("free", "at_once"), [(None, 2), (10_000, 2), (10, 1)])
def test_no_more_than_fit_the_memory(free, at_once, monkeypatch):
    monkeypatch.setattr(together, "free_memory", lambda device: free)
    running, most = [], []

    def count(x):
        running.append(1)
        most.append(len(running))
        time.sleep(0.2)
        running.pop()
        return np.asarray(x)

    function = kept(lambda x: jax.pure_callback(count, jax.ShapeDtypeStruct((3,), jnp.float32), x))
    side_by_side(function, [jnp.ones(3)] * 4)
    assert max(most) == at_once


@pytest.mark.parametrize("cpus", [1, 2])
def test_calls_on_one_device_do_the_same(cpus, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    first = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: first)
    many = WAYS["calls"](lambda state, shared: state * shared, ())
    np.testing.assert_array_equal(many([jnp.float32(1), jnp.float32(2)], jnp.float32(3)), [3, 6])
