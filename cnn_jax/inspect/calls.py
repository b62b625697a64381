"""What goes into and comes out of every layer: for methods that look at layers and not at taps."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax

from cnn_jax.inspect.network import Network


class Call(NamedTuple):
    """One call of a layer, a module that calls no other.

    Attributes:
        name: its path, with `#2` and so on from the second call of a module that is called again.
        module: the layer.
        taken: its first argument.
        given: what it returned.
    """

    name: str
    module: nn.Module
    taken: jax.Array
    given: jax.Array


def layer_calls(network: Network, variables: Any, x: jax.Array) -> list[Call]:
    """Applies a network and keeps what its layers took and gave, in the order of the calls.

    Args:
        network: the network.
        variables: of the model.
        x: images as the network takes them.
    """
    calls: list[Call | None] = []
    inner: list[bool] = []
    seen: dict[str, int] = {}

    def record(next_method, args, kwargs, context):
        if context.method_name != "__call__":
            return next_method(*args, **kwargs)
        place = len(calls)
        calls.append(None)
        inner.append(False)
        given = next_method(*args, **kwargs)
        leaf = not inner.pop()
        if inner:
            inner[-1] = True
        if leaf and args and isinstance(given, jax.Array):
            path = "/".join(context.module.path)
            seen[path] = seen.get(path, 0) + 1
            name = path if seen[path] == 1 else f"{path}#{seen[path]}"
            calls[place] = Call(name, context.module, args[0], given)
        return given

    with nn.intercept_methods(record):
        network.apply(variables, x)
    return [call for call in calls if call is not None]


def has_kernel(network: Network, call: Call) -> bool:
    """Whether the layer is a convolution or fully connected: it has a kernel among its parameters."""
    return bool(kernels_of(network, call))


def kernels_of(network: Network, call: Call) -> list[jax.Array]:
    """The kernels of a layer: one, or several where its maps see different channels (LeNet-5's C3)."""
    at = network.variables["params"]
    for name in call.module.path:
        at = at.get(name, {})
    return [value for name, value in at.items() if name.startswith("kernel") and not isinstance(value, dict)]
