"""The lectures' baselines that need no gradient: random search and local random search.

Both keep the best parameters seen (the incumbent) and replace them where a candidate has a lower loss. The incumbent
and all candidates of a step are judged on the same batch, so that none wins by an easier one; on the whole training set
(`batch_size` its size) the best loss never rises. The learning rate and its schedule play no part.

Sources: lecture 004; CS231n, "Optimization: Stochastic Gradient Descent", strategies 1 and 2, which reach 15.5% and
21.4% accuracy on CIFAR-10 with 1,000 draws for a linear classifier, chance being 10%.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.train.rule import Objective, UpdateRule

# CS231n draws weights of 1e-4 for pixels from 0 to 255, about 64 of which are one unit of our standardised images, and
# has the hinge loss. Under softmax weights of that width are worse than none, and no step from zero would be taken; of
# a tenth of it, every fourth of the first is.
SIGMA = 1e-5 * 64
CANDIDATES = 10


class SearchState(NamedTuple):
    """What a search remembers beside the incumbent, which the run's parameters are.

    Attributes:
        judged: bool [], whether there is an incumbent yet.
    """

    judged: jax.Array


def random_search(sigma: float = SIGMA, candidates: int = CANDIDATES) -> UpdateRule:
    """Draws all parameters anew from a normal distribution around zero, each time; the first draw is always kept.

    Args:
        sigma: standard deviation of every parameter.
        candidates: draws in one step.
    """
    return _search(lambda key, best: _noise(key, best, sigma), candidates, judged=False)


def local_random_search(sigma: float = SIGMA, candidates: int = CANDIDATES) -> UpdateRule:
    """Steps from the incumbent in a random direction, and stays there if the loss is lower: hill climbing.

    The initial parameters are the first incumbent.

    Args:
        sigma: standard deviation of the step in every parameter.
        candidates: steps tried, one after another, in one update.
    """
    return _search(lambda key, best: jax.tree.map(jnp.add, best, _noise(key, best, sigma)), candidates, judged=True)


def _search(propose: Callable[[jax.Array, Any], Any], candidates: int, *, judged: bool) -> UpdateRule:
    """The rule that keeps the best of the incumbent and what `(key, incumbent) -> parameters` proposes.

    `judged` says whether the initial parameters are an incumbent.
    The metrics are the incumbent's after the update, and `accepted`, the share of candidates that were better.
    """

    def update(objective: Objective, params: Any, opt_state: SearchState, scale: jax.Array | float, key: jax.Array):
        del scale
        loss, aux = objective.value(params)
        loss = jnp.where(opt_state.judged, loss, jnp.inf)

        def attempt(i: jax.Array, carry: tuple) -> tuple:
            incumbent, accepted = carry
            candidate = propose(jax.random.fold_in(key, i), incumbent[1])
            # A loss that is not a number is not lower.
            value, new_aux = objective.value(candidate)
            better = value < incumbent[0]
            kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), (value, candidate, new_aux), incumbent)
            return kept, accepted + better

        (_, params, (model_state, metrics)), accepted = jax.lax.fori_loop(
            0, candidates, attempt, ((loss, params, aux), jnp.float32(0))
        )
        return params, SearchState(jnp.array(True)), (model_state, {**metrics, "accepted": accepted / candidates})

    return UpdateRule(lambda params: SearchState(jnp.array(judged)), update)


def _noise(key: jax.Array, like: Any, sigma: float) -> Any:
    """Independent normal numbers of standard deviation `sigma`, in the shapes of `like`."""
    leaves, tree = jax.tree.flatten(like)
    keys = jax.random.split(key, len(leaves))
    drawn = [sigma * jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, drawn)
