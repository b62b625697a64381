"""Which way of computing a population together is fastest: measured on its first steps, and remembered.

Remembered are measurements, not decisions: which way pays depends on how long the training is, for some compile for
longer than they save. They are kept per architecture, batch, number of members and device, in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.train.cache import user_cache
from cnn_jax.train.memory import free_memory, needed_memory
from cnn_jax.train.together import WAYS, Many, One, at_a_time

# Best guesses first: what follows is measured only where it may pay.
_ORDER = {"cpu": ("calls", "map", "vmap of products", "copies", "vmap")}
_ORDER_ELSEWHERE = ("vmap of products", "vmap", "calls", "copies", "map")
# Compiling, in units of what one member's program takes; for copies there are as many as members.
_COMPILE = {"calls": 1.0, "map": 1.0, "vmap": 1.5, "vmap of products": 1.5}
# A way is measured if the best so far would still take so many times its compilation: most ways are not faster, and
# those that are save a part only.
_WORTH = 10.0
_TIMED_SECONDS = 0.3


class Measured(NamedTuple):
    """One way on this device.

    Attributes:
        compile_seconds: of its program; from a warm cache, of reading it.
        step_seconds: of one step of all members; infinite where it does not fit the memory.
    """

    compile_seconds: float
    step_seconds: float

    def total(self, steps: int) -> float:
        """Seconds of a training."""
        return self.compile_seconds + steps * self.step_seconds


class Plan(NamedTuple):
    """How a population is computed, and why.

    Attributes:
        way: a key of `WAYS`.
        measured: what is known of the ways, by name.
        skipped: ways that could not have paid.
        members: how many.
    """

    way: str
    measured: dict[str, Measured]
    skipped: tuple[str, ...]
    members: int

    def __str__(self) -> str:
        each = {
            name: "does not fit" if m.step_seconds == float("inf") else f"{1e3 * m.step_seconds / self.members:.3g}"
            for name, m in self.measured.items()
        }
        others = "; ".join(f"{name} {each[name]}" for name in each if name != self.way)
        skipped = f"; not tried, too short: {', '.join(self.skipped)}" if self.skipped else ""
        head = f"{self.members} members together by {self.way}"
        known = f": {each[self.way]} ms a step and member" if self.way in each else ""
        return f"{head}{known}" + (f" ({others}{skipped})" if others or skipped else "")


def make_plan(
    step: One,
    members: Sequence[Any],
    data: Any,
    *,
    steps: int,
    max_steps: int,
    identity: Sequence[Any],
) -> tuple[Plan, Many]:
    """Measures what may pay and returns the fastest way, ready to be called.

    Args:
        step: `(state, data, num_steps) -> result` of one member, not compiled.
        members: their states, which are left as they are.
        data: the training split.
        steps: how many are to come.
        max_steps: the longest call.
        identity: what the measurements depend on, as JSON.
    """
    memory = _Memory(identity, len(members))
    known = memory.read()
    order = _ORDER.get(jax.default_backend(), _ORDER_ELSEWHERE)
    compiled: dict[str, Many] = {}
    skipped = []
    for name in order:
        if name in known:
            continue
        best = min((m.total(steps) for m in known.values()), default=float("inf"))
        if best < _WORTH * _compilation(name, known, memory.members):
            skipped.append(name)
            continue
        fastest = min((m.step_seconds for m in known.values()), default=float("inf"))
        others = [] if known else [other for other in order if other != name]

        def alone(m: Measured, name: str = name, others: list[str] = others) -> bool:
            """Whether none of the others will be tried, so that a rough figure does."""
            costs = [_compilation(other, {name: m}, memory.members) for other in others]
            return bool(others) and m.total(steps) < _WORTH * min(costs)

        # Members that take turns take as many times what those of one turn take.
        takes_turns = name == "calls" and jax.local_device_count() == 1
        measured = members[: at_a_time(len(members))] if takes_turns else members
        times = math.ceil(len(members) / len(measured))
        known[name], compiled[name] = _measure(
            WAYS[name](step, (0,)), measured, data, max_steps, times=times, fastest=fastest, alone=alone
        )
    memory.write(known)
    way = min(known, key=lambda name: known[name].total(steps))
    plan = Plan(way, known, tuple(skipped), memory.members)
    return plan, compiled[way] if way in compiled else WAYS[way](step, (0,))


def _compilation(name: str, known: dict[str, Measured], members: int) -> float:
    """About how long a way compiles, from what others took."""
    units = {**_COMPILE, "copies": float(members)}
    return max((m.compile_seconds / units[other] for other, m in known.items()), default=0.0) * units[name]


def _measure(
    many: Any,
    members: Sequence[Any],
    data: Any,
    max_steps: int,
    *,
    times: int = 1,
    fastest: float = float("inf"),
    alone: Callable[[Measured], bool] = lambda measured: False,
) -> tuple[Measured, Many]:
    started = time.perf_counter()
    if hasattr(many, "lower"):  # one program for all members: what it needs is known before it runs
        compiled = many.lower(list(members), data, np.int32(1)).compile()
        if needed_memory(compiled) > (free_memory(jax.local_devices()[0]) or float("inf")):
            return Measured(time.perf_counter() - started, float("inf")), many
    else:
        compiled = many
        jax.block_until_ready(compiled(copied(members), data, np.int32(1)))
    compile_seconds = time.perf_counter() - started
    num_steps, seconds = 1, _seconds(compiled, members, data, 1)
    while (
        seconds < _TIMED_SECONDS
        and num_steps < max_steps
        and times * seconds / num_steps < 2 * fastest
        and not alone(Measured(compile_seconds, times * seconds / num_steps))
    ):
        num_steps = min(max_steps, max(2 * num_steps, int(num_steps * _TIMED_SECONDS / seconds)))
        seconds = _seconds(compiled, members, data, num_steps)
    return Measured(compile_seconds, times * seconds / num_steps), compiled


def _seconds(many: Many, members: Sequence[Any], data: Any, num_steps: int) -> float:
    given_away = jax.block_until_ready(copied(members))
    started = time.perf_counter()
    jax.block_until_ready(many(given_away, data, np.int32(num_steps)))
    return time.perf_counter() - started


class _Memory:
    """What was measured before, in a file of the cache; one that cannot be read or written is done without."""

    def __init__(self, identity: Sequence[Any], members: int):
        device = jax.local_devices()[0]
        self.members = members
        where = [device.platform, device.device_kind, jax.local_device_count(), os.cpu_count(), jax.__version__]
        key = hashlib.sha256(json.dumps([*identity, members, where]).encode()).hexdigest()[:32]
        self._file = user_cache() / "plans" / f"{key}.json"

    def read(self) -> dict[str, Measured]:
        try:
            stored = json.loads(self._file.read_text())
            return {name: Measured(*map(float, stored[name])) for name in WAYS if name in stored}
        except (OSError, ValueError, TypeError):
            return {}

    def write(self, known: dict[str, Measured]) -> None:
        partial = self._file.with_suffix(f".{uuid.uuid4().hex}.partial")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(known))
            partial.replace(self._file)
        except OSError:
            partial.unlink(missing_ok=True)


def copied(members: Sequence[Any]) -> list[Any]:
    """Arrays of their own, to be given away."""
    return [_copied(member) for member in members]


@jax.jit
def _copied(tree: Any) -> Any:
    """In one program: array by array there would be as many to compile as there are shapes."""
    return jax.tree.map(jnp.copy, tree)
