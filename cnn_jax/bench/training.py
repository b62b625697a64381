"""C1, C2 and C6: training steps of the six small networks against peers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from cnn_jax.bench.context import Context
from cnn_jax.bench.ours import Ours, bench_config, synthetic_dataset
from cnn_jax.bench.peer import PEERS, STEPS, Started, prove_same_work, started
from cnn_jax.bench.result import Row
from cnn_jax.errors import BenchError

BATCH, SHAPE, CLASSES = 128, (32, 32, 3), 10


class Network(NamedTuple):
    """A network and how many steps of it make a block of about a second."""

    name: str
    steps: int


NETWORKS = (
    Network("lenet:small", 32),
    Network("alexnet:small", 12),
    Network("vgg:small", 12),
    Network("googlenet:small", 8),
    Network("resnet_cifar:20", 6),
    Network("xception:small", 6),
)


def against_jax(context: Context) -> None:
    """C1: against the plain Flax loop and Keras."""
    against(context, NETWORKS, ("F", "K"))


def against_torch(context: Context) -> None:
    """C2: against PyTorch, eager and compiled."""
    against(context, NETWORKS, ("T", "TC"))


def xception_against_flax(context: Context) -> None:
    """C6: Xception alone, whose depthwise convolutions are where XLA:CPU is slowest."""
    against(context, NETWORKS[-1:], ("F",))


def against(context: Context, networks: Sequence[Network], peers: Sequence[str]) -> None:
    """Trains every network on both sides.

    A peer that cannot be started for a network is noted and left out there.

    Raises:
        BenchError: a peer does other work, or none of them could be started.
    """
    for network in networks:
        _one(context, network, peers)
    if not context.result.rows:
        reasons = "; ".join(f"{peer}: {why}" for peer, why in context.result.absent.items())
        raise BenchError(265, f"no peer could be started with {context.peer_python} (make bench-peers): {reasons}")


def _one(context: Context, network: Network, peers: Sequence[str]) -> None:
    batch, steps = (8, STEPS + 1) if context.smoke else (BATCH, network.steps)
    ours = Ours(bench_config(network.name, batch), synthetic_dataset(batch * steps, SHAPE, CLASSES))
    job, losses = ours.job(context.threads), ours.losses()
    rows: dict[str, Row] = {}
    with contextlib.ExitStack() as stack:
        sides = {"ours": lambda: ours.run(steps)}
        for peer in peers:
            context.say(f"{network.name}: starting {peer}, {PEERS[peer].what}")
            try:
                theirs = stack.enter_context(started(peer, context.peer_python, job))
            except BenchError as error:
                context.result.absent[f"{peer}, {network.name}"] = error.message
                continue
            rows[peer] = _row(context, network.name, peer, theirs, ours, losses, steps * batch)
            sides[peer] = lambda theirs=theirs: theirs.run(steps)
        if rows:
            context.measure(network.name, sides, rows)


def _row(context: Context, case: str, peer: str, theirs: Started, ours: Ours, losses: list[float], images: int) -> Row:
    proof = prove_same_work(peer, losses, theirs.losses(STEPS + 1))
    return context.result.row(
        case,
        peer,
        images=images,
        facts={
            "batch_size": ours.config.batch_size,
            "peer": PEERS[peer].what,
            "versions": theirs.versions,
            "proof": proof,
            "compile_seconds": {"ours": round(ours.compile_seconds, 2), "theirs": round(theirs.compile_seconds, 2)},
        },
    )
