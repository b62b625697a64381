"""`traps`: what makes training convolutions slow on XLA:CPU, each the textbook way against the way it is done here.

A trap is two functions of no arguments that compute the same arrays, which is checked first, and then are timed in
turn. `docs/performance.md` explains each.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax import ops
from cnn_jax.bench.context import Context
from cnn_jax.bench.ours import bench_config, synthetic_dataset
from cnn_jax.bench.process import run_python
from cnn_jax.errors import BenchError
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.cache import runs_often
from cnn_jax.train.together import side_by_side

_CLOSE = 2e-3  # of the largest value; sums of a hundred thousand products in another order


class Trap(NamedTuple):
    """One trap.

    Attributes:
        says: what is compared, for the table.
        naive: the textbook way: arrays, compiled by whoever calls it.
        ours: the way it is done here.
        arguments: of both.
        repeats: calls of a block: naive, ours.
    """

    says: str
    naive: Callable[..., Any]
    ours: Callable[..., Any]
    arguments: tuple[Any, ...]
    repeats: tuple[int, int]


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _lax_conv(x: jax.Array, kernel: jax.Array, groups: int = 1) -> jax.Array:
    numbers = {4: ("NHWC", "HWIO", "NHWC"), 5: ("NDHWC", "DHWIO", "NDHWC")}[x.ndim]
    ones = (1,) * (x.ndim - 2)
    return lax.conv_general_dilated(x, kernel, ones, "SAME", dimension_numbers=numbers, feature_group_count=groups)


def _our_conv(x: jax.Array, kernel: jax.Array, groups: int = 1) -> jax.Array:
    return ops.conv(x, kernel, padding="SAME", feature_group_count=groups)


def _gradient(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    """The gradient of the sum of squares of what a function gives, by one argument."""
    return jax.grad(lambda *arguments: jnp.square(function(*arguments)).sum(), argnums=at)


def _steps(conv: Callable[..., Any], *, unrolled: bool = False) -> Callable[..., Any]:
    """Three steps of SGD of three convolutions, in a loop or one after another."""

    def loss(kernels: Any, x: Any) -> Any:
        for kernel in kernels:
            x = jnp.maximum(conv(x, kernel), 0)
        return jnp.square(x).mean()

    def update(kernels: Any, x: Any) -> Any:
        return jax.tree.map(lambda k, g: k - 0.1 * g, kernels, jax.grad(loss)(kernels, x))

    def run(kernels: Any, x: Any) -> Any:
        if unrolled:
            for _ in range(3):
                kernels = update(kernels, x)
            return kernels
        return lax.fori_loop(0, 3, lambda _, k: update(k, x), kernels)

    return run


def _max_pool(x: jax.Array) -> jax.Array:
    start = np.asarray(-np.inf, np.float32)  # a concrete value: lax knows how to differentiate this one
    return lax.reduce_window(x, start, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def make_traps(smoke: bool) -> dict[str, Trap]:
    """The table of traps, by name."""
    batch, channels, size = (2, 4, 8) if smoke else (128, 32, 32)
    small, models = (2, 2) if smoke else (32, 4)
    x = _normal(0, batch, size, size, channels)
    kernel = 0.1 * _normal(1, 3, 3, channels, channels)
    deep = _normal(2, batch // 2, size // 2, size // 2, 4 * channels)
    single = _normal(3, 3, 3, 1, 4 * channels)
    three = [0.1 * _normal(4 + i, 3, 3, c, channels // 2) for i, c in enumerate((3, channels // 2, channels // 2))]
    images = _normal(7, small, size, size, 3)
    stacked = [np.stack([k * (1 + 0.1 * m) for m in range(models)]) for k in three]
    volume = _normal(8, 2, size // 2, size // 2, size // 2, channels // 2)
    cube = 0.1 * _normal(9, 3, 3, 3, channels // 2, channels // 2)
    tiny, wide = _normal(10, batch, 2, 2, 4 * channels), 0.1 * _normal(11, 3, 3, 4 * channels, 4 * channels)
    colours, five = _normal(12, batch, size, size, 3), _normal(13, 5, 5, 3, 6)
    plain, ours = _steps(_lax_conv), _steps(_our_conv)
    return {
        "loop": Trap("three SGD steps of three convolutions in one loop", plain, ours, (three, images), (1, 8)),
        "unrolled": Trap(
            "the same steps unrolled, against our loop", _steps(_lax_conv, unrolled=True), ours, (three, images), (8, 8)
        ),
        "kernels": Trap("3x3 convolution, by YNNPACK and by Eigen", _lax_conv, _lax_conv, (x, kernel), (8, 8)),
        "tiny image": Trap("3x3 convolution of 2x2 pixels", _lax_conv, _our_conv, (tiny, wide), (2, 64)),
        "few channels": Trap(
            "5x5 convolution of 3 channels to 6",
            _lax_conv,
            _our_conv,
            (colours, five),
            (4, 16),
        ),
        "weight gradient": Trap(
            "gradient of a 3x3 kernel", _gradient(_lax_conv, 1), _gradient(_our_conv, 1), (x, kernel), (4, 4)
        ),
        "depthwise": Trap(
            "depthwise 3x3, forward",
            lambda x, k: _lax_conv(x, k, x.shape[-1]),
            lambda x, k: _our_conv(x, k, x.shape[-1]),
            (deep, single),
            (2, 16),
        ),
        "depthwise gradient": Trap(
            "gradient of a depthwise 3x3 kernel",
            _gradient(lambda x, k: _lax_conv(x, k, x.shape[-1]), 1),
            _gradient(lambda x, k: _our_conv(x, k, x.shape[-1]), 1),
            (deep, single),
            (2, 8),
        ),
        "max pool": Trap(
            "2x2 max pool, forward and backward",
            _gradient(_max_pool, 0),
            _gradient(lambda x: ops.max_pool(x, 2), 0),
            (x,),
            (2, 16),
        ),
        "seeds": Trap(
            f"{models} models, three steps each: under vmap, against one after another in a loop",
            lambda kernels, x: jax.vmap(_steps(_lax_conv, unrolled=True), in_axes=(0, None))(kernels, x),
            lambda kernels, x: lax.map(lambda k: _steps(_our_conv)(k, x), kernels),
            (stacked, images),
            (1, 2),
        ),
        "volumes": Trap(
            "gradients of a 3x3x3 convolution", _volumes(_lax_conv), _volumes(_our_conv), (volume, cube), (1, 2)
        ),
    }


def _volumes(conv: Callable[..., Any]) -> Callable[..., Any]:
    return jax.grad(lambda x, k: jnp.square(conv(x, k)).sum(), argnums=(0, 1))


def against_textbook(context: Context) -> None:
    """Every trap, members taking turns, and what the persistent cache keeps of short compilations."""
    for name, trap in make_traps(context.smoke).items():
        arguments = jax.device_put(trap.arguments)
        naive, ours = jax.jit(trap.naive), jax.jit(trap.ours, compiler_options=runs_often())
        difference = compare(name, naive(*arguments), ours(*arguments))
        repeats = (1, 1) if context.smoke else trap.repeats
        row = context.result.row(
            name,
            "textbook",
            ours_work=repeats[1],
            theirs_work=repeats[0],
            facts={
                "peer": trap.says,
                "difference": difference,
                "shapes": [list(x.shape) for x in jax.tree.leaves(arguments)],
            },
        )
        sides = {
            "ours": lambda f=ours, n=repeats[1], a=arguments: _timed(f, a, n),
            "textbook": lambda f=naive, n=repeats[0], a=arguments: _timed(f, a, n),
        }
        context.measure(name, sides, {"textbook": row}, settle=0.05)
    _turns(context)
    _short_compilations(context)


def compare(name: str, naive: Any, ours: Any) -> float:
    """The largest difference relative to the largest value.

    Raises:
        BenchError: the two ways do not compute the same.
    """
    worst = 0.0
    for a, b in zip(jax.tree.leaves(naive), jax.tree.leaves(ours), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        worst = max(worst, float(np.abs(a - b).max() / np.abs(a).max()))
    if not worst <= _CLOSE:
        raise BenchError(267, f"trap {name!r}: the two ways differ by {worst:.2g} of the largest value")
    return float(f"{worst:.2g}")


def _timed(function: Callable[..., Any], arguments: tuple[Any, ...], repeats: int) -> float:
    jax.block_until_ready(function(*arguments))
    begun, value = time.perf_counter(), None
    for _ in range(repeats):
        value = function(*arguments)
    jax.block_until_ready(value)
    return time.perf_counter() - begun


def _turns(context: Context) -> None:
    """Members of one program, called one after another and side by side."""
    count, steps, batch = (2, 1, 8) if context.smoke else (8, 32, 128)
    config = bench_config("lenet:small", batch, total_steps=steps)
    dataset = synthetic_dataset(batch * steps, (32, 32, 3), 10)
    program = build(config, DataSpec.of(dataset))
    split = dataset.splits["train"]
    data = program.layout.put({"image": split.image, "label": split.label})

    def members() -> list[Any]:
        states = [program.layout.put(program.create_state(np.int32(seed))) for seed in range(count)]
        return jax.block_until_ready(states)

    def in_turn(states: list[Any]) -> list[Any]:
        return jax.block_until_ready([program.run_steps(state, data, np.int32(steps)) for state in states])

    def together(states: list[Any]) -> list[Any]:
        return side_by_side(program.run_steps, states, data, np.int32(steps))

    def block(run: Callable[[list[Any]], list[Any]]) -> float:
        states = members()
        begun = time.perf_counter()
        run(states)
        return time.perf_counter() - begun

    weights = [[result[0].params for result in run(members())] for run in (in_turn, together)]
    row = context.result.row(
        "turns",
        "textbook",
        facts={
            "peer": f"{count} models, {steps} steps each: a call at a time, against several calls at a time",
            "difference": compare("turns", *weights),
        },
    )
    sides = {"ours": lambda: block(together), "textbook": lambda: block(in_turn)}
    context.measure("turns", sides, {"textbook": row}, settle=0.05)


_COMPILES = """
import sys, time
import jax, jax.numpy as jnp
if sys.argv[1] == "all":
    from cnn_jax.train.cache import use_compilation_cache
    use_compilation_cache()
begun = time.perf_counter()
for n in range(int(sys.argv[2])):
    net = lambda x, n=n: jnp.tanh(x @ x.T + n).sum() * (n + 1)
    jax.jit(jax.grad(net))(jnp.ones((64, 64))).block_until_ready()
print(time.perf_counter() - begun)
"""


def _short_compilations(context: Context) -> None:
    """A second process that needs the same small programs, with JAX's default threshold and with none."""
    programs = 3 if context.smoke else 40
    row = context.result.row(
        "cache",
        "textbook",
        facts={"peer": f"{programs} small programs in a second process: JAX's cache by default, and with no threshold"},
    )

    def second(which: str) -> Callable[[], float]:
        cache = context.scratch / f"cache-{which}"

        def block() -> float:
            shutil.rmtree(cache, ignore_errors=True)
            command = ["-c", _COMPILES, which, str(programs)]
            return [float(run_python(command, JAX_COMPILATION_CACHE_DIR=str(cache))[1]) for _ in range(2)][1]

        return block

    sides = {"ours": second("all"), "textbook": second("default")}
    context.measure("cache", sides, {"textbook": row}, settle=0.05)
