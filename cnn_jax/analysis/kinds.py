"""Names of the kinds of layers, and which of them may be parts of another."""

from __future__ import annotations

import re

ACTIVATIONS = frozenset(
    [
        "relu",
        "relu6",
        "silu",
        "swish",
        "gelu",
        "elu",
        "selu",
        "celu",
        "leaky_relu",
        "softplus",
        "soft_sign",
        "hard_tanh",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "log_sigmoid",
        "squareplus",
        "mish",
        "glu",
        "sigmoid",
        "softmax",
        "log_softmax",
    ]
)
"""Functions of `jax.nn` whose name stands in the jaxpr."""
PRIMITIVE_ACTIVATIONS = {"tanh": "tanh", "logistic": "sigmoid", "erf": "gelu"}
SELF_GATED = {"tanh": "gelu", "gelu": "gelu", "sigmoid": "silu"}
"""What an activation is called that multiplies its own input."""
NORMALISING = frozenset({"rsqrt", "sqrt", "pow"})
POOLS = {
    "max": "max_pool",
    "min": "min_pool",
    "add": "sum_pool",
    "sum": "sum_pool",
    "and": "min_pool",
    "or": "max_pool",
}
REDUCTIONS = {"reduce_max": "global_max_pool", "reduce_min": "global_min_pool", "reduce_sum": "global_sum_pool"}
AVERAGED = {"sum_pool": "avg_pool", "global_sum_pool": "global_avg_pool"}
GLOBAL_POOLS = frozenset({*REDUCTIONS.values(), "global_avg_pool"})
MATRICES = ("conv", "conv_transpose", "dense", "matmul")
WINDOWED = frozenset({"conv", "conv_transpose", "filter", "max_pool", "min_pool", "sum_pool", "avg_pool", "pool"})
COSTED = WINDOWED - {"filter"} | GLOBAL_POOLS | {"dense"}
"""Kinds whose outputs count as activations."""
TENTATIVE = frozenset({"crop", "filter", "channel_window", "relu", *GLOBAL_POOLS})
"""Kinds that may turn out parts of a normalisation or of border padding."""
PARTS = frozenset(
    {"norm", "batch_norm", "local_response_norm", "channel_window", "filter", "maximum", "add", "tanh", *ACTIVATIONS}
)
"""Kinds that, alone in a module that calls no other, take their name from its class."""
KEEPS_SCALAR = frozenset({"convert_element_type", "broadcast_in_dim", "copy", "reshape", "squeeze"})
_NAMING = frozenset({"Activation"})


def kind_of_module(class_name: str, settings: dict[str, str], found: list[str]) -> str:
    """The kind of a module that is one layer.

    Args:
        class_name: its class.
        settings: its fields that are strings; an `Activation` is the function it was told to apply.
        found: kinds found in it, parts only.
    """
    if class_name in _NAMING and settings:
        return next(iter(settings.values()))
    if len(found) == 1 and not class_name.endswith("Norm"):
        return found[0]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()
