"""The one table of benchmarks. Importing it imports no JAX: what a benchmark needs is imported when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cnn_jax.bench.result import Target
from cnn_jax.errors import ConfigError


class Benchmark(NamedTuple):
    """A row of the table.

    Attributes:
        id: its short name.
        measures: what is measured, in words.
        device: the platform it is for, `cpu` or `gpu`.
        targets: floor and goal against each peer.
        where: module in this package, and function.
    """

    id: str
    measures: str
    device: str
    targets: tuple[Target, ...]
    where: str

    def function(self) -> Callable[[Any], None]:
        """What runs it, given a `Context`."""
        module, name = self.where.split(".")
        return getattr(importlib.import_module(f"cnn_jax.bench.{module}"), name)


BENCHMARKS = (
    Benchmark(
        "C1",
        "training of six networks at 32x32, images a second",
        "cpu",
        (Target("F", 1.5, 3), Target("K", 1.5, 3)),
        "training.against_jax",
    ),
    Benchmark("C2", "the same", "cpu", (Target("T", 0.7, 1.2), Target("TC", 0.6, 1)), "training.against_torch"),
    Benchmark(
        "C3",
        "an epoch in one call",
        "cpu",
        (Target("step", 1, 1.15), Target("scan", 20, 50)),
        "epoch_call.against_steps",
    ),
    Benchmark(
        "C4",
        "8 seeds of one config, compiling included",
        "cpu",
        (Target("vmap", 3, 5), Target("K", 3, 8)),
        "population.against_vmap",
    ),
    Benchmark(
        "C5", "second launch of a 12-cell sweep", "cpu", (Target("first launch", 5, 10),), "launches.second_sweep"
    ),
    Benchmark("C6", "a step of Xception at 32x32", "cpu", (Target("F", 4, 10),), "training.xception_against_flax"),
    Benchmark(
        "C7",
        "images into the step, from the device with augmentation",
        "cpu",
        (Target("grain, 0 workers", 5, 20), Target("grain, 2 workers", 5, 20)),
        "feeding.against_grain",
    ),
    Benchmark(
        "traps",
        "textbook operations against those here",
        "cpu",
        (Target("textbook", 1, None),),
        "traps.against_textbook",
    ),
    Benchmark("G1", "training to 94% on CIFAR-10", "gpu", (Target("", None, 0.8, "seconds"),), "cifar.speed_recipe"),
    Benchmark(
        "G2",
        "training of ResNet-50 at 224, bfloat16",
        "gpu",
        (Target("timm", 1.1, None), Target("", None, 6_500, "images_per_second")),
        "imagenet.resnet",
    ),
    Benchmark(
        "G3", "the same of VGG-16, GoogLeNet, AlexNet, Xception", "gpu", (Target("timm", 1, None),), "imagenet.others"
    ),
    Benchmark("G4", "64 LeNets, 16 ResNet-20s together", "gpu", (Target("in turn", 3, 8),), "population.together"),
    Benchmark(
        "G5",
        "first step of ResNet-50 with a warm cache, from the start of Python",
        "gpu",
        (Target("", None, 5, "seconds"), Target("cold", None, None)),
        "launches.first_step",
    ),
    Benchmark(
        "G6",
        "share of the roofline over G2 and G3",
        "gpu",
        (Target("", 0.45, 0.65, "roofline_share"),),
        "imagenet.roofline_share",
    ),
)
GROUPS = ("all", "cpu", "gpu")


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks called so, in the table's order; `cpu` and `gpu` are those of a platform, `all` every one.

    Raises:
        ConfigError: no such benchmark.
    """
    known = {row.id.lower(): row for row in BENCHMARKS}
    wanted: set[str] = set()
    for name in names:
        group = {row.id for row in BENCHMARKS if name in ("all", row.device)}
        if not group and name.lower() not in known:
            raise ConfigError(261, f"no benchmark {name!r}: use {', '.join([*GROUPS, *(r.id for r in BENCHMARKS)])}")
        wanted |= group or {known[name.lower()].id}
    return [row for row in BENCHMARKS if row.id in wanted]
