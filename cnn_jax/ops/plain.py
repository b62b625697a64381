"""One switch: while it is on, operations emit their plain `lax` form.

Some operations have a faster body than the textbook one (shifted slices for pooling on CPU, own gradients, 3-D by
decomposition). Whoever reads a traced model wants the textbook body: one `conv_general_dilated` with its strides and
padding, one `reduce_window` per pooling. The values are the same; only the primitives differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_plain: ContextVar[bool] = ContextVar("plain_ops", default=False)


def is_plain() -> bool:
    """Whether operations are to emit their plain form; asked while tracing."""
    return _plain.get()


@contextmanager
def plain_ops() -> Iterator[None]:
    """Within this context every operation traces to its plain `lax` form."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)
