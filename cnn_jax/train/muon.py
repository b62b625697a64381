"""Muon (Jordan et al. 2024): the momentum of every convolution's kernel, orthogonalised, is what moves it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnn_jax.train.paths import matching

MOMENTUM = 0.95  # github.com/KellerJordan/Muon
NEWTON_SCHULZ = 5
OTHER_MOMENTUM = 0.9


def muon(
    *, momentum: float, other_momentum: float, newton_schulz: int, freeze: Sequence[str] = ()
) -> optax.GradientTransformation:
    """The direction of Muon for kernels of convolutions, and of Nesterov momentum for everything else.

    A kernel [..., C, F] is the matrix of its F features. `optax.contrib.scale_by_muon` brings its singular values near
    1 (they end in about 0.7 to 1.2) by Newton-Schulz iterations; its momentum is a mean with its start corrected, which
    after a few steps is Torch's but for a factor, and factors do not matter here.

    Args:
        momentum: of the kernels.
        other_momentum: of biases, norms and dense layers.
        newton_schulz: iterations.
        freeze: patterns of paths that do not change; nothing of them is orthogonalised.
    """
    rules: dict[Hashable, optax.GradientTransformation] = {
        "kernels": optax.contrib.scale_by_muon(
            ns_steps=newton_schulz, beta=momentum, nesterov=True, weight_dimension_numbers=_as_matrices
        ),
        "others": optax.trace(other_momentum, nesterov=True),
    }
    return optax.partition(
        rules,
        lambda params: jax.tree.map(lambda yes: "kernels" if yes else "others", orthogonalised(params, freeze)),
    )


def orthogonalised(params: Any, freeze: Sequence[str] = ()) -> Any:
    """Which parameters Muon is for: the tree with a bool for every leaf, true for what convolves."""
    return jax.tree.map(lambda p, frozen: p.ndim >= 3 and not frozen, params, matching(params, freeze))


def keep_kernel_norm(freeze: Sequence[str] = ()) -> optax.GradientTransformation:
    """Before they are moved, brings the kernels that Muon is for to the norm sqrt(features) (`airbench94_muon.py`).

    The last of a chain: it sees what is added to the parameters. A norm follows these convolutions, so that the length
    of a kernel matters to its effective rate alone, which this keeps in the hands of the schedule.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def one(u: jax.Array, p: jax.Array, kernel: bool) -> jax.Array:
            if not kernel:
                return u
            factor = p.shape[-1] ** 0.5 / jnp.maximum(jnp.linalg.norm(p.reshape(-1)), 1e-12)
            return u + (factor - 1) * p

        return jax.tree.map(one, updates, params, orthogonalised(params, freeze)), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _as_matrices(params: Any) -> Any:
    return jax.tree.map(
        lambda p: optax.contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1),
        params,
    )
