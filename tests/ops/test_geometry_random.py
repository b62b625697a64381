"""Five thousand random geometries: the sizes are those of lax, or the refusal is right and its advice fits."""

from __future__ import annotations

import re
from typing import NamedTuple

import jax
import numpy as np
from jax import lax

from cnn_jax.errors import GeometryError
from cnn_jax.ops import geometry

COUNT = 5000


class Geometry(NamedTuple):
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str | tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]


def draw(rng: np.random.Generator) -> Geometry:
    """One to three dimensions; about one in four does not fit."""
    rank = int(rng.integers(1, 4))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(value) for value in rng.integers(low, high + 1, rank))

    explicit = tuple(zip(each(0, 4), each(0, 4), strict=True))
    padding = ("SAME", "VALID", explicit, explicit, explicit)[rng.integers(5)]
    return Geometry(each(1, 40), each(1, 9), each(1, 5), padding, each(1, 3))


def sizes_of_lax(geometries: list[Geometry]) -> list[tuple[int, ...]]:
    """Spatial output sizes by the shape inference of lax, 0 where nothing fits; nothing is computed."""

    def convolve(pairs):
        outputs = []
        for case, (x, kernel) in zip(geometries, pairs, strict=True):
            spatial = "DHW"[3 - len(case.sizes) :]
            layout = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
            outputs.append(
                lax.conv_general_dilated(
                    x, kernel, case.strides, case.padding, rhs_dilation=case.dilation, dimension_numbers=layout
                )
            )
        return outputs

    pairs = [
        (
            jax.ShapeDtypeStruct((1, *case.sizes, 1), np.float32),
            jax.ShapeDtypeStruct((*case.kernel, 1, 1), np.float32),
        )
        for case in geometries
    ]
    return [y.shape[1:-1] for y in jax.eval_shape(convolve, pairs)]


def size_here(case: Geometry) -> tuple[int, ...]:
    pads = geometry.canonical_padding(case.padding, case.kernel, case.strides, case.dilation, case.sizes)
    return geometry.window_output(case.sizes, case.kernel, case.strides, pads, case.dilation)


def advice_fits(case: Geometry, message: str) -> bool:
    """Every number of the advice fits, and the next one beyond it does not."""

    def fits(**changes) -> bool:
        try:
            size_here(case._replace(**changes))
        except GeometryError:
            return False
        return True

    rank = len(case.sizes)
    least = int(re.findall(r"padding of at least (\d+)", message)[0])
    right = fits(padding=((least, least),) * rank) and not fits(padding=((least - 1, least - 1),) * rank)
    for most in map(int, re.findall(r"kernel of at most (\d+)", message)):
        right = right and fits(kernel=(most,) * rank) and not fits(kernel=(most + 1,) * rank)
    return right


def test_five_thousand_random_geometries_are_those_of_lax_or_refused():
    rng = np.random.default_rng(20121)
    geometries = [draw(rng) for _ in range(COUNT)]
    agreed = refused = 0
    wrong = []
    for case, expected in zip(geometries, sizes_of_lax(geometries), strict=True):
        try:
            size = size_here(case)
        except GeometryError as error:
            right = min(expected) < 1 and str(error).startswith("E-GEOM-01: ") and advice_fits(case, error.message)
            refused += right
            wrong += [] if right else [(case, expected, str(error))]
        else:
            right = min(expected) >= 1 and size == expected
            agreed += right
            wrong += [] if right else [(case, expected, size)]
    counts = f"{agreed} agree, {refused} refused, {len(wrong)} disagree of {COUNT}; first: {wrong[:3]}"
    assert not wrong, counts
    assert agreed + refused == COUNT, counts
    assert min(agreed, refused) > COUNT // 10, counts
