"""Worked examples of the lectures: sizes of feature maps.

Lectures: 000 = TUM introduction to convolutions, 001 = TUM architectures, 002 = ETH part II, 003 = Stachniss,
004 = Pollefeys.
"""

from __future__ import annotations

import pytest

from cnn_jax import ops
from cnn_jax.errors import GeometryError


@pytest.mark.parametrize(
    ("stride", "pad", "expected"), [(1, 0, 5), (1, 1, 7), (1, 2, 9), (2, 0, 3), (2, 1, 4), (2, 2, 5), (3, 1, 3)]
)
def test_size_seven_by_a_filter_of_three(stride, pad, expected):
    """Lectures 000, 001 and 004: (7 + 2P - 3) / S + 1; padding 2 at stride 1, the question of 001, gives 9x9."""
    assert ops.output_size(7, 3, stride, (pad, pad), strict=True) == expected


@pytest.mark.parametrize(("pad", "floor"), [(0, 2), (2, 3)])
def test_size_seven_at_stride_three_is_a_fraction(pad, floor):
    """Lectures 000, 001 and 004 call 7/3 illegal (and 11/3 with padding 2); 002 and Torch take the floor."""
    with pytest.raises(GeometryError, match=r"E-GEOM-02: .* is a fraction"):
        ops.output_size(7, 3, 3, (pad, pad), strict=True)
    assert ops.output_size(7, 3, 3, (pad, pad)) == floor


@pytest.mark.parametrize(("kernel", "pad"), [(3, 1), (5, 2), (7, 3)])
def test_padding_that_keeps_the_size(kernel, pad):
    """Lecture 004: padding 1, 2 and 3 for filters of 3, 5 and 7 at stride 1, which is (F - 1) / 2."""
    for size in (7, 32, 224):
        assert ops.output_size(size, kernel, 1, (pad, pad), strict=True) == size
    assert ops.canonical_padding("SAME", (kernel,), (1,), (1,), (32,)) == ((pad, pad),)


def test_size_32_by_a_filter_of_five():
    """The lectures' 5x5x3 filter (no number recorded): 28 without padding, 32 with 2; in a row 32, 28, 24, 20."""
    assert ops.output_size(32, 5) == 28
    assert ops.output_size(32, 5, 1, (2, 2)) == 32
    assert chain(32, 1, layers=3) == [32, 28, 24, 20]


def test_windows_of_a_256_pixel_image():
    """Lecture 003: a 5x5 window has (256 - 4)^2 = 63,504 places."""
    assert ops.output_size(256, 5) ** 2 == 63_504


def chain(size: int, stride: int, layers: int = 100) -> list[int]:
    """Sizes under 5x5 convolutions without padding, until no window fits or after so many layers."""
    sizes = [size]
    while sizes[-1] >= 5 and len(sizes) <= layers:
        sizes.append(ops.output_size(sizes[-1], 5, stride))
    return sizes


def test_stride_one_loses_four_pixels_a_layer_and_never_reaches_one():
    """Lecture 002: 128, 124, 120, 116, ...: 128 - 4k ends at 4, where no further window fits."""
    sizes = chain(128, 1)
    assert sizes == list(range(128, 3, -4))
    with pytest.raises(GeometryError, match="E-GEOM-01"):
        ops.output_size(sizes[-1], 5)


def test_stride_two_reaches_one_in_five_layers():
    """Lecture 002: 128, 62, 29, 13, 5, 1; its slide has 12 for 13."""
    assert chain(128, 2) == [128, 62, 29, 13, 5, 1]
