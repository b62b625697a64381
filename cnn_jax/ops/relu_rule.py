"""One switch: while it is on, ReLU passes signals backwards by another rule than its derivative.

Zeiler and Fergus 2013, section 2.1, rectify what goes backwards, whatever went forwards; Springenberg et al. 2014,
section 3.4, let through only what both rules let through. All else of the backward pass stays what it is: transposed
convolutions, and for max pooling the switches. The values that go forwards are the same under every rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

ReluRule = Literal["deconvnet", "guided"]

_rule: ContextVar[ReluRule | None] = ContextVar("relu_rule", default=None)


@contextmanager
def relu_rule(rule: ReluRule) -> Iterator[None]:
    """Within this context the gradient of every ReLU traced is replaced by `rule`.

    Args:
        rule: "deconvnet" passes g where g > 0, "guided" where both g > 0 and x > 0.
    """
    token = _rule.set(rule)
    try:
        yield
    finally:
        _rule.reset(token)


def ruled_relu() -> Callable[[Array], Array] | None:
    """The ReLU of the rule that is on, or None where its derivative is wanted; asked while tracing."""
    rule = _rule.get()
    return None if rule is None else _RULED[rule]


@jax.custom_vjp
def _deconvnet(x: Array) -> Array:
    return jax.nn.relu(x)


_deconvnet.defvjp(lambda x: (jax.nn.relu(x), None), lambda _, g: (jax.nn.relu(g),))


@jax.custom_vjp
def _guided(x: Array) -> Array:
    return jax.nn.relu(x)


_guided.defvjp(lambda x: (jax.nn.relu(x), x > 0), lambda fired, g: (jnp.where(fired, jax.nn.relu(g), 0),))

_RULED: dict[ReluRule, Callable[[Array], Array]] = {"deconvnet": _deconvnet, "guided": _guided}
