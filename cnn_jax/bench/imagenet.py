"""G2, G3 and G6: the ImageNet networks at full size, bfloat16, on synthetic images, against timm and the roofline."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.bench.blocks import geometric_mean
from cnn_jax.bench.context import Context
from cnn_jax.bench.ours import Ours, bench_config, synthetic_dataset
from cnn_jax.bench.peer import PEERS, STEPS, Started, prove_same_work, started
from cnn_jax.errors import BenchError
from cnn_jax.weights import export_weights


class Large(NamedTuple):
    """A network.

    Attributes:
        name: ours.
        keywords: that make it the library's, without dropout.
        library: `timm` or `torchvision`.
        their_name: there.
        size: pixels a side.
        batch: images a step.
        roofline: images a second of training that an H200 allows (790 TFLOP/s of bfloat16, 4.3 TB/s) with activations
            read and written once an operation that XLA does not fuse.
    """

    name: str
    keywords: dict[str, float]
    library: str
    their_name: str
    size: int
    batch: int
    roofline: float


RESNET = Large("resnet:50", {}, "timm", "resnet50", 224, 256, 10_790)
OTHERS = (
    Large("vgg:D", {"dropout": 0.0}, "timm", "vgg16", 224, 128, 6_054),
    Large("googlenet:torchvision", {"dropout": 0.0}, "torchvision", "googlenet", 224, 256, 33_500),
    Large("alexnet:torchvision", {"dropout": 0.0}, "torchvision", "alexnet", 224, 512, 90_000),
    Large(
        "xception",
        {"dropout": 0.0, "pool_padding": 1, "epsilon": 1e-5},
        "timm",
        "legacy_xception",
        299,
        128,
        4_074,
    ),
)
TESTED = Large("resnet:18", {}, "timm", "resnet18", 64, 2, 10_790), OTHERS[2]._replace(batch=2)
"""What is run in place of these at the size of a test: networks that compile in seconds."""
_CLASSES, _BATCHES, _BLOCK = 1000, 2, 40
_PROOF_BATCH = 8


def resnet(context: Context) -> None:
    """G2."""
    _one(context, TESTED[0] if context.smoke else RESNET)


def others(context: Context) -> None:
    """G3."""
    for network in TESTED[1:] if context.smoke else OTHERS:
        _one(context, network)


def _one(context: Context, network: Large) -> None:
    size, batch, block = network.size, network.batch, 2 if context.smoke else _BLOCK
    changes = {f"model__{key}": value for key, value in network.keywords.items()}
    dataset = synthetic_dataset(batch * _BATCHES, (size, size, 3), _CLASSES)
    precision = "float32" if context.smoke else "bfloat16"
    ours = Ours(bench_config(network.name, batch, precision=precision, **changes), dataset)
    context.say(f"{network.name}: compiled in {ours.compile_seconds:.0f} s")
    row = context.result.row(
        network.name,
        "timm",
        images=batch * block,
        facts={
            "batch_size": batch,
            "size": size,
            "precision": precision,
            "compile_seconds": {"ours": round(ours.compile_seconds, 2)},
            "roofline": network.roofline,
        },
    )
    sides = {"ours": lambda: _share(ours.run(block), batch * block, network, row.figures)}
    with contextlib.ExitStack() as stack:
        context.say(f"{network.name}: proving that {network.library}'s {network.their_name} does the same work")
        try:
            prover = _Prover(network, size, changes)
            theirs = stack.enter_context(started("timm", context.peer_python, prover.job(context.threads)))
        except BenchError as error:
            context.result.absent[f"timm, {network.name}"] = error.message
        else:
            row.facts["proof"] = prover.prove(theirs)
            theirs = theirs.again(_job(ours, network, context.threads, precision=precision, compiled=True))
            row.facts["compile_seconds"]["theirs"] = round(theirs.compile_seconds, 2)
            row.facts |= {"peer": f"{PEERS['timm'].what}: {network.their_name}", "versions": theirs.versions}
            sides["timm"] = lambda theirs=theirs: theirs.run(block)
        context.measure(network.name, sides, {"timm": row})


def _share(seconds: float, images: int, network: Large, figures: dict[str, list[float]]) -> float:
    figures.setdefault("roofline_share", []).append(images / seconds / network.roofline)
    return seconds


def _job(ours: Ours, network: Large, threads: int, **options: object):
    weights = export_weights(ours.program.model, ours.initial().variables, network.library)
    counted = {name: array for name, array in weights.items() if not name.endswith("num_batches_tracked")}
    named = {"library": network.library, "their_name": network.their_name, "classes": _CLASSES}
    return ours.job(threads, {name: np.asarray(array) for name, array in counted.items()}, **named, **options)


class _Prover:
    """The same network in float32 on few images, where both sides can be held to `TOLERANCE`; on both eager or not."""

    def __init__(self, network: Large, size: int, changes: dict[str, float]):
        dataset = synthetic_dataset(_PROOF_BATCH * (STEPS + 1), (size, size, 3), _CLASSES, seed=1)
        config = bench_config(network.name, _PROOF_BATCH, precision="float32", **changes)
        self._network = network
        with jax.default_matmul_precision("highest"):
            self._ours = Ours(config, dataset, timed=False)
            self._losses = self._ours.losses()

    def job(self, threads: int):
        """What the peer proves itself on."""
        return _job(self._ours, self._network, threads, precision="float32", compiled=False)

    def prove(self, theirs: Started) -> dict[str, Any]:
        """The proof."""
        return prove_same_work("timm", self._losses, theirs.losses(STEPS + 1))


def roofline_share(context: Context) -> None:
    """G6: from what G2 and G3 have measured in the same run.

    Raises:
        BenchError: they have not run.
    """
    found = [row for name in ("G2", "G3") for row in context.others.get(name, {}).get("rows", [])]
    shares = {row["case"]: row["figures"]["roofline_share"]["values"] for row in found if row["figures"]}
    if not shares:
        raise BenchError(269, "G6 follows from G2 and G3: name them before it, or run cnn-jax bench gpu")
    row = context.result.row(
        "geometric mean", "", facts={"of": sorted(shares), "card": "rooflines are those of an H200"}
    )
    row.figures["roofline_share"] = [geometric_mean(values) for values in zip(*shares.values(), strict=False)]
    context.result.save()
