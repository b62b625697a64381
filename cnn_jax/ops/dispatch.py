"""Which of an operation's two bodies to trace."""

from __future__ import annotations

import jax

from cnn_jax.ops.plain import is_plain


def prefers_plain() -> bool:
    """Whether to emit the plain `lax` form: asked for by `plain_ops`, or no CPU, where the plain form is the fast one.

    Asked while tracing: the device is `jax.default_device` where set, else the default backend.
    """
    if is_plain():
        return True
    device = jax.config.values["jax_default_device"]
    platform = device if isinstance(device, str) else getattr(device, "platform", None)
    return (platform or jax.default_backend()) != "cpu"
