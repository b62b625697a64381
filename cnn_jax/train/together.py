"""Ways to compute the members of a population together: what each gives is what it gives alone, up to rounding.

A way turns a function of one member into a function of a list of members. Which is fastest depends on the network, the
batch and the device, and is measured (`planner.py`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.train.cache import runs_often
from cnn_jax.train.kept import Kept, Shelf
from cnn_jax.train.memory import free_memory, needed_memory

_AT_MOST = 8  # members whose activations are in memory at the same time

One = Callable[..., Any]
"""`(member, *shared) -> result`; the members are trees of arrays of the same shapes."""
Many = Callable[..., list[Any]]
"""`(members, *shared) -> results`, one after the other in the order of the members."""
Way = Callable[[One, tuple[int, ...]], Many]
"""`(function, donated)`: which of the arguments are given away."""


def calls(function: One, donated: tuple[int, ...]) -> Many:
    """One compiled function, called for each member; where there are several devices, each takes its share at once."""
    compiled = jax.jit(function, donate_argnums=donated, compiler_options=runs_often())
    kept = Kept(compiled, "calls", Shelf())
    placed: dict[Any, tuple[Any, Any]] = {}

    def shared_on(device: Any, shared: Any) -> Any:
        if device not in placed or placed[device][0] is not shared[0]:
            placed[device] = shared[0], jax.device_put(shared[0], device)
        return placed[device][1], *shared[1:]

    def many(members: list[Any], *shared: Any) -> list[Any]:
        devices = jax.local_devices()[: len(members)]
        if len(devices) == 1:
            return side_by_side(kept, members, *shared)
        results = []
        for i, member in enumerate(members):
            device = devices[i % len(devices)]
            results.append(compiled(jax.device_put(member, device), *shared_on(device, shared)))
        return jax.device_put(results, devices[0])

    return many


def at_a_time(count: int) -> int:
    """How many of so many members one device computes at the same time.

    A CPU's cores wait for one another at the end of every parallel loop of a program, and most loops are short: the
    loops of another member's call fill the gaps (docs/performance.md has the figures).
    """
    return min(count, os.cpu_count() or 1, _AT_MOST) if jax.default_backend() == "cpu" else 1


def side_by_side(function: Any, members: Sequence[Any], *shared: Any) -> list[Any]:
    """Calls a function for each member on one device, as many at a time as pays and fits; each is what it is alone.

    Args:
        function: a `Kept` one, or one under `jax.jit`, which is called for one member after the other.
        members: a tree of arrays each.
        shared: the other arguments.
    """
    width = at_a_time(len(members))
    if width == 1 or not isinstance(function, Kept):
        return [function(member, *shared) for member in members]
    # Found here: a thread would trace without what its caller has chosen for the operations.
    compiled = function.prepared(members[0], *shared)
    free, needed = free_memory(jax.local_devices()[0]), needed_memory(compiled)
    if free and needed:
        width = max(1, min(width, free // needed))
    with ThreadPoolExecutor(width) as pool:
        return list(pool.map(lambda member: jax.block_until_ready(compiled(member, *shared)), members))


def mapped(function: One, donated: tuple[int, ...]) -> Many:
    """One program that goes through the members: `lax.map`."""

    def many(members: list[Any], *shared: Any) -> list[Any]:
        return _unstacked(jax.lax.map(lambda member: function(member, *shared), _stacked(members)), len(members))

    return jax.jit(many, donate_argnums=donated, compiler_options=runs_often())


def batched(function: One, donated: tuple[int, ...]) -> Many:
    """One program with an axis more: `vmap`. Convolutions become convolutions of as many groups."""
    return _vmapped(function, donated, contextlib.nullcontext)


def batched_products(function: One, donated: tuple[int, ...]) -> Many:
    """One program with an axis more, convolutions written as batches of matrix products."""
    return _vmapped(function, donated, ops.product_convs)


def copies(function: One, donated: tuple[int, ...]) -> Many:
    """One program that holds every member's own operations side by side; it takes as many times longer to compile."""

    def many(members: list[Any], *shared: Any) -> list[Any]:
        return [function(member, *shared) for member in members]

    return jax.jit(many, donate_argnums=donated, compiler_options=runs_often())


WAYS: dict[str, Way] = {
    "calls": calls,
    "map": mapped,
    "vmap": batched,
    "vmap of products": batched_products,
    "copies": copies,
}


def _vmapped(function: One, donated: tuple[int, ...], context: Callable[[], Any]) -> Many:
    def many(members: list[Any], *shared: Any) -> list[Any]:
        with context():
            results = jax.vmap(lambda member: function(member, *shared))(_stacked(members))
        return _unstacked(results, len(members))

    return jax.jit(many, donate_argnums=donated, compiler_options=runs_often())


def _stacked(members: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def _unstacked(tree: Any, count: int) -> list[Any]:
    return [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(count)]
