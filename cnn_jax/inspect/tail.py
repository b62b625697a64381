"""The part of a network behind a tap, as a function of the tap's value.

No layer has to be known for it: the model is traced to a jaxpr that computes the logits and the tap, and is computed
again with another value put in the place where the tap is.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from cnn_jax.inspect.network import Network


def logits_behind(network: Network, tap: str, variables: Any, x: jax.Array, value: jax.Array) -> jax.Array:
    """The logits of a network one tap of which has another value.

    Args:
        network: the network.
        tap: its name.
        variables: of the model.
        x: images as the network takes them, [N, H, W, C].
        value: what stands at the tap, of the tap's shape.

    Returns:
        [N, num_classes]; differentiable in all of them. What the tap does not decide is computed from `x`.
    """

    def forward(variables, x):
        logits, taps = network.apply(variables, x)
        return logits, taps[tap]

    closed = jax.make_jaxpr(forward)(variables, x)
    given = [jnp.asarray(leaf) for leaf in (*jax.tree.leaves(variables), x)]
    known = dict(zip((*closed.jaxpr.constvars, *closed.jaxpr.invars), (*closed.consts, *given), strict=True))
    logits, cut = closed.jaxpr.outvars

    def read(atom):
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in closed.jaxpr.eqns:
        bound = equation.primitive.get_bind_params(equation.params)
        # Older versions of JAX hand the functions that an equation calls over beside its parameters.
        functions, params = bound if isinstance(bound, tuple) else ((), bound)
        found = equation.primitive.bind(*functions, *map(read, equation.invars), **params)
        for variable, result in zip(
            equation.outvars, found if equation.primitive.multiple_results else [found], strict=True
        ):
            known[variable] = value if variable is cut else result
    return read(logits)
