"""The pixels that a unit of a tap sees, from the network alone: exact boxes of receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from cnn_jax import analysis
from cnn_jax.analysis import Table
from cnn_jax.inspect.network import Network

Box: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


class Window:
    """Receptive fields of the units of a network's taps.

    Args:
        network: whose taps they are.
        image_shape: (H, W, C).
    """

    def __init__(self, network: Network, image_shape: Sequence[int]):
        self._table: Table = analysis.show(network.model, image_shape)
        self._layer = {tap.name: tap.layer for tap in analysis.taps(network.model, image_shape)}
        self._size = tuple(image_shape[:2])

    def box(self, tap: str, place: Sequence[int], *, clip: bool = True) -> Box:
        """First and last row, first and last column of what a unit sees, both ends included.

        Args:
            tap: its name.
            place: (y, x) of the unit; () for a hidden layer.
            clip: the pixels that really reach the unit; otherwise the theoretical field, which goes on beyond the
                image.
        """
        layer = self._layer[tap]
        row = self._table[layer]
        if not len(place) and len(row.output) == 3:
            place = (0, 0)  # a map of one pixel, flattened
        found = self._table.box(layer, *(map(int, place) if len(row.output) == 3 else ()), clip=clip)
        if found is None or len(found) != 2:
            return (0, self._size[0] - 1), (0, self._size[1] - 1)
        (top, bottom), (left, right) = found
        return (int(top), int(bottom)), (int(left), int(right))
