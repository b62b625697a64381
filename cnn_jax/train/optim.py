"""The optimisers of the lectures, through optax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnn_jax.train import muon
from cnn_jax.train.paths import matches, matching, path_tree, rate_factors
from cnn_jax.train.random_search import CANDIDATES, SIGMA, local_random_search, random_search
from cnn_jax.train.rule import UpdateRule, gradient_rule

# What each paper recommends, where config.optimizer leaves it open.
MOMENTUM = 0.9  # Krizhevsky et al. 2012, section 5
ADAGRAD_EPSILON = 1e-8  # a guard against 0/0; the paper's delta
ADADELTA = (0.95, 1e-6)  # rho and epsilon, Zeiler 2012, section 4.1
RMSPROP = (0.9, 1e-8)  # Tieleman and Hinton 2012, lecture 6.5
ADAM = (0.9, 0.999, 1e-8)  # Kingma and Ba 2015, algorithm 1


def make_optimizer(
    optimizer: Any, learning_rate: optax.Schedule, freeze: Sequence[str] = (), *, total_steps: int = 0
) -> UpdateRule:
    """The update rule that `config.optimizer` names.

    In order: the gradient is clipped, L2 decay is added, the rule makes a direction of it, decoupled decay is added,
    and the whole is multiplied by the learning rate. `momentum` and `nesterov` keep the rate outside the velocity, as
    Torch does; with the rate inside, as AlexNet's section 5 writes it, steps differ for a few updates after a change of
    the rate and not otherwise.

    Args:
        optimizer: `config.optimizer`. `gd` and `sgd` follow the plain gradient, of all images and of a batch. Weight
            decay is `l2` (added to the gradient before the rule, as in AlexNet section 5) or `decoupled` from it
            (Loshchilov and Hutter 2019), by default for `adamw` and `muon` alone; `decay="kernels"` spares biases and
            norm parameters, `"all"` spares nothing. What `muon` orthogonalises has no L2: its length would be lost.
            `clip_norm` is of the whole gradient, `clip_value` of each component. `groups` maps patterns of paths to
            factors of the rate, and of the decay unless `group_decay` is false; `until` maps them to the share of the
            training in which their rate runs through its schedule, and after which they rest.
        learning_rate: the schedule.
        freeze: patterns of paths that do not change at all.
        total_steps: length of the training, of which `until` gives shares.
    """
    if optimizer.name in _SEARCHES:
        search = _SEARCHES[optimizer.name]
        return search(_or(optimizer.sigma, SIGMA), _or(optimizer.candidates, CANDIDATES))
    decoupled = optimizer.decay_form == "decoupled" or (
        optimizer.decay_form is None and optimizer.name in ("adamw", "muon")
    )
    groups, until = dict(optimizer.get("groups", {})), dict(optimizer.get("until", {}))
    decay = []
    if _is_set(optimizer.weight_decay):
        spared = muon.orthogonalised if optimizer.name == "muon" and not decoupled else _nothing
        decayed = _decayed(optimizer.decay, freeze, spared)
        if optimizer.group_decay:
            decay = [optax.add_decayed_weights(optimizer.weight_decay, mask=decayed)]
        else:
            decay = [_even_decay(optimizer.weight_decay, decayed, groups)]
    stages = []
    if optimizer.clip_value is not None:
        stages.append(optax.clip(optimizer.clip_value))
    if optimizer.clip_norm is not None:
        stages.append(optax.clip_by_global_norm(optimizer.clip_norm))
    direction = [_muon(optimizer, freeze) if optimizer.name == "muon" else _DIRECTIONS[optimizer.name](optimizer)]
    stages += direction + decay if decoupled else decay + direction
    if groups or freeze:
        stages.append(_scale_by_group(groups, freeze))
    if until:
        stages.append(_scale_until(learning_rate, until, total_steps))
    else:
        stages.append(optax.scale_by_learning_rate(learning_rate))
    if optimizer.kernel_norm:
        stages.append(muon.keep_kernel_norm(freeze))
    return gradient_rule(optax.chain(*stages))


def _is_set(value: Any) -> bool:
    """Whether a number is not zero; one that the program is given is not."""
    return not isinstance(value, (int, float)) or value != 0


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _momentum(nesterov: bool) -> Callable[[Any], optax.GradientTransformation]:
    return lambda o: optax.trace(_or(o.momentum, MOMENTUM), nesterov=nesterov)


def _adagrad(o: Any) -> optax.GradientTransformation:
    return optax.scale_by_rss(initial_accumulator_value=0.0, eps=_or(o.epsilon, ADAGRAD_EPSILON))


def _adadelta(o: Any) -> optax.GradientTransformation:
    return optax.scale_by_adadelta(rho=_or(o.rho, ADADELTA[0]), eps=_or(o.epsilon, ADADELTA[1]))


def _rmsprop(o: Any) -> optax.GradientTransformation:
    return optax.scale_by_rms(decay=_or(o.rho, RMSPROP[0]), eps=_or(o.epsilon, RMSPROP[1]))


def _adam(o: Any) -> optax.GradientTransformation:
    return optax.scale_by_adam(_or(o.beta1, ADAM[0]), _or(o.beta2, ADAM[1]), _or(o.epsilon, ADAM[2]))


def _muon(o: Any, freeze: Sequence[str]) -> optax.GradientTransformation:
    return muon.muon(
        momentum=_or(o.momentum, muon.MOMENTUM),
        other_momentum=_or(o.other_momentum, muon.OTHER_MOMENTUM),
        newton_schulz=_or(o.newton_schulz, muon.NEWTON_SCHULZ),
        freeze=freeze,
    )


_DIRECTIONS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "gd": lambda o: optax.identity(),
    "sgd": lambda o: optax.identity(),
    "momentum": _momentum(nesterov=False),
    "nesterov": _momentum(nesterov=True),
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adam,
}


_SEARCHES: dict[str, Callable[[float, int], UpdateRule]] = {
    "random_search": random_search,
    "local_random_search": local_random_search,
}


def _nothing(params: Any, freeze: Sequence[str]) -> Any:
    return jax.tree.map(lambda _: False, params)


def _decayed(which: str, freeze: Sequence[str], spared: Callable[[Any, Sequence[str]], Any]) -> Callable[[Any], Any]:
    """Kernels are what has two or more axes; biases and norm parameters are vectors."""
    return lambda params: jax.tree.map(
        lambda p, frozen, spare: not (frozen or spare) and (which == "all" or p.ndim >= 2),
        params,
        matching(params, freeze),
        spared(params, freeze),
    )


def _even_decay(
    weight_decay: float, decayed: Callable[[Any], Any], groups: dict[str, float]
) -> optax.GradientTransformation:
    """Decay that is the same for every group once their factors have multiplied it."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def one(u: jax.Array, p: jax.Array, decays: bool, factor: float) -> jax.Array:
            return u + weight_decay / factor * p if decays and factor else u

        return jax.tree.map(one, updates, params, decayed(params), rate_factors(params, groups)), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _scale_by_group(groups: dict[str, float], freeze: Sequence[str]) -> optax.GradientTransformation:
    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        factors = rate_factors(updates, groups, freeze)
        return jax.tree.map(lambda u, factor: u if factor == 1 else u * factor, updates, factors), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _scale_until(
    learning_rate: optax.Schedule, until: dict[str, float], total_steps: int
) -> optax.GradientTransformation:
    """As `scale_by_learning_rate`, the schedule of what a pattern names pressed into a share of the training."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params

        def rate(path: str) -> jax.Array:
            steps = _steps_of(path, until, total_steps)
            if steps == total_steps:
                return jnp.asarray(learning_rate(state.count))
            return jnp.where(state.count < steps, learning_rate(state.count * (total_steps / steps)), 0.0)

        updates = jax.tree.map(lambda u, path: -rate(path) * u, updates, path_tree(updates))
        return updates, optax.ScaleByScheduleState(count=optax.safe_increment(state.count))

    return optax.GradientTransformation(lambda params: optax.ScaleByScheduleState(jnp.zeros([], jnp.int32)), update)


def _steps_of(path: str, until: dict[str, float], total_steps: int) -> int:
    """How long a parameter is trained: the shortest share of all patterns that name it, one step at least."""
    share = min((value for pattern, value in until.items() if matches(path, pattern)), default=1.0)
    return max(1, round(share * total_steps))
