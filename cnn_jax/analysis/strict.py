"""Refuses what the lectures call illegal: a stride that does not divide the way its window travels."""

from __future__ import annotations

from cnn_jax.analysis.table import Row, Table
from cnn_jax.errors import GeometryError
from cnn_jax.ops.geometry import window_output


def refuse_remainders(table: Table) -> None:
    """Checks every window of a network.

    Raises:
        GeometryError: the first layer that leaves rows which no window reaches, with choices that leave none.
    """
    for row in table:
        if row.kernel and row.strides and row.padding and row.dilation and row.remainder and any(row.remainder):
            _refuse(row, row.kernel, row.strides, row.padding, row.dilation, row.remainder)


def _refuse(row: Row, kernel, strides, padding, dilation, remainder) -> None:
    # The outputs' channels come last and are left over.
    windows = zip(row.output, kernel, strides, padding, dilation, remainder, strict=False)
    sizes = [(out - 1) * s + rest + d * (k - 1) + 1 - lo - hi for out, k, s, (lo, hi), d, rest in windows]
    what = "kernel" if row.type == "conv" else "window"
    try:
        window_output(sizes, kernel, strides, padding, dilation, strict=True, what=what)
    except GeometryError as error:
        raise error.at(row.name) from None
