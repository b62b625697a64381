"""The real peers do the same work as our networks: the same losses through five updates."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from cnn_jax.bench import training
from cnn_jax.bench.imagenet import TESTED, _Prover
from cnn_jax.bench.ours import Ours, bench_config, synthetic_dataset
from cnn_jax.bench.peer import STEPS, prove_same_work, started
from cnn_jax.errors import BenchError

PYTHON = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason="the peers are not installed: make bench-peers"),
]


@pytest.mark.parametrize("network", [row.name for row in training.NETWORKS])
def test_small_networks(network):
    ours = Ours(bench_config(network, 8), synthetic_dataset(8 * (STEPS + 1), (32, 32, 3), 10), timed=False)
    losses, job = ours.losses(), ours.job(1)
    assert abs(losses[0] - losses[-1]) > 1e-3, "updates do something"
    for peer in ("F", "K", "T"):
        with started(peer, PYTHON, job) as theirs:
            prove_same_work(peer, losses, theirs.losses(STEPS + 1))


def test_a_peer_with_other_weights_is_refused():
    ours = Ours(bench_config("lenet:small", 8), synthetic_dataset(8 * (STEPS + 1), (32, 32, 3), 10), timed=False)
    losses = ours.losses()
    job = ours.job(1)
    changed = {**job.weights, "params/fc1/kernel": job.weights["params/fc1/kernel"] * 1.1}
    with started("F", PYTHON, job._replace(weights=changed)) as theirs, pytest.raises(BenchError, match="E-BENCH-264"):
        prove_same_work("F", losses, theirs.losses(STEPS + 1))


def test_a_peer_without_momentum_is_refused():
    ours = Ours(bench_config("lenet:small", 8), synthetic_dataset(8 * (STEPS + 1), (32, 32, 3), 10), timed=False)
    losses = ours.losses()
    job = ours.job(1)._replace(momentum=0.0)
    with started("F", PYTHON, job) as theirs, pytest.raises(BenchError, match="E-BENCH-264"):
        prove_same_work("F", losses, theirs.losses(STEPS + 1))


@pytest.mark.parametrize("network", TESTED, ids=lambda row: row.their_name)
def test_large_networks(network):
    if not list(PYTHON.parents[1].glob("lib/*/site-packages/timm")):
        pytest.skip("timm and torchvision are not installed beside the peers")
    with jax.numpy_rank_promotion("allow"):
        prover = _Prover(network, network.size, {f"model__{key}": value for key, value in network.keywords.items()})
    with started("timm", PYTHON, prover.job(1)) as theirs:
        assert prover.prove(theirs)["difference"] < 1e-3
