"""Output sizes, paddings and their errors."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnn_jax.errors import GeometryError
from cnn_jax.ops import geometry

dims = st.integers(1, 2)


@st.composite
def geometries(draw):
    rank = draw(dims)

    def each(low, high):
        return st.lists(st.integers(low, high), min_size=rank, max_size=rank).map(tuple)

    pads = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=rank, max_size=rank).map(tuple)
    padding = draw(st.one_of(st.sampled_from(["VALID", "SAME"]), pads))
    return draw(each(1, 20)), draw(each(1, 8)), draw(each(1, 4)), padding, draw(each(1, 3))


def lax_sizes(sizes, kernel, strides, padding, dilation) -> tuple[int, ...]:
    spatial = "HW"[: len(sizes)]
    layout = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    x, k = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((1, *sizes, 1), (*kernel, 1, 1)))
    y = jax.eval_shape(
        lambda x, k: lax.conv_general_dilated(x, k, strides, padding, rhs_dilation=dilation, dimension_numbers=layout),
        x,
        k,
    )
    return y.shape[1:-1]


@settings(max_examples=400, deadline=None)
@given(geometries())
def test_sizes_are_those_of_lax_or_refused_for_the_right_reason(case):
    sizes, kernel, strides, padding, dilation = case
    expected = lax_sizes(*case)
    pads = geometry.canonical_padding(padding, kernel, strides, dilation, sizes)
    if 0 in expected:
        with pytest.raises(GeometryError, match="E-GEOM-01"):
            geometry.window_output(sizes, kernel, strides, pads, dilation)
    else:
        assert geometry.window_output(sizes, kernel, strides, pads, dilation) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 30), st.integers(1, 9), st.integers(1, 5), st.integers(0, 4), st.integers(0, 4), st.integers(1, 3)
)
def test_strict_refuses_exactly_the_remainders(size, kernel, stride, lo, hi, dilation):
    room = size + lo + hi - dilation * (kernel - 1) - 1

    def call(strict):
        return geometry.output_size(size, kernel, stride, (lo, hi), dilation, strict=strict)

    if room < 0:
        with pytest.raises(GeometryError, match="E-GEOM-01"):
            call(False)
        return
    assert call(False) == len(range(0, room + 1, stride))
    assert geometry.remainder(size, kernel, stride, (lo, hi), dilation) == room % stride
    if room % stride:
        with pytest.raises(GeometryError, match="E-GEOM-02"):
            call(True)
    else:
        assert call(True) == call(False)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_every_choice_a_message_offers_is_legal(size, kernel, stride, pad, dilation):
    """The kernel and the padding named in the message make the layer legal, and the next larger kernel does not."""
    try:
        geometry.output_size(size, kernel, stride, (pad, pad), dilation)
    except GeometryError as error:
        words = error.message
        least = int(words.split("padding of at least ")[1].split(",")[0])
        assert geometry.output_size(size, kernel, stride, (least, least), dilation) >= 1
        with pytest.raises(GeometryError):
            geometry.output_size(size, kernel, stride, (least - 1, least - 1), dilation)
        if "kernel of at most" in words:
            most = int(words.split("kernel of at most ")[1].split(",")[0])
            assert geometry.output_size(size, most, stride, (pad, pad), dilation) >= 1
            with pytest.raises(GeometryError):
                geometry.output_size(size, most + 1, stride, (pad, pad), dilation)


def test_too_large_a_kernel_is_told_in_one_line_with_what_fits():
    with pytest.raises(GeometryError) as caught:
        geometry.window_output((5, 5), (11, 11), (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert str(caught.value.at("conv1")) == (
        "E-GEOM-01: layer conv1: 11x11 kernel on a 5x5 input with padding 0 leaves -5x-5: "
        "use a kernel of at most 5, padding of at least 3, or a larger input"
    )


def test_a_fraction_is_told_with_choices_that_come_out_whole():
    with pytest.raises(GeometryError) as caught:
        geometry.output_size(7, 3, 3, strict=True)
    message = caught.value.message
    assert "4/3 + 1 places is a fraction" in message
    assert "a kernel of 4, stride 2, padding (0, 2)" in message
    assert geometry.output_size(7, 4, 3, strict=True) == 2
    assert geometry.output_size(7, 3, 2, strict=True) == 3
    assert geometry.output_size(7, 3, 3, (0, 2), strict=True) == 3


# "Output size 7, F3" and the strided chain of the lectures.
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "expected"),
    [
        (7, 3, 1, 0, 5),
        (7, 3, 2, 0, 3),
        (7, 3, 3, 0, 2),
        (7, 3, 1, 1, 7),
        (7, 3, 1, 2, 9),
        (32, 5, 1, 2, 32),
        (227, 11, 4, 0, 55),
    ],
)
def test_sizes_of_the_lectures(size, kernel, stride, pad, expected):
    assert geometry.output_size(size, kernel, stride, (pad, pad)) == expected


def test_strided_chain_of_the_lectures_ends_at_one():
    chain = [128]
    while chain[-1] >= 5:
        chain.append(geometry.output_size(chain[-1], 5, 2))
    assert chain == [128, 62, 29, 13, 5, 1]


@pytest.mark.parametrize("padding", ["same", -1, (1,), ((0, 1), 2, 3), ((0, -1), 0), ((0, 1, 2), 0), 1.5, None, True])
def test_illegal_padding_is_refused(padding):
    with pytest.raises(GeometryError, match="E-GEOM-04"):
        geometry.canonical_padding(padding, (3, 3), (1, 1), (1, 1), (8, 8))


@pytest.mark.parametrize(
    ("padding", "expected"), [(2, ((2, 2), (2, 2))), ((1, (0, 3)), ((1, 1), (0, 3))), ("VALID", ((0, 0), (0, 0)))]
)
def test_padding_becomes_one_pair_per_dimension(padding, expected):
    assert geometry.canonical_padding(padding, (3, 3), (1, 1), (1, 1), (8, 8)) == expected


def test_same_is_asymmetric_at_stride_two():
    assert geometry.canonical_padding("SAME", (3, 3), (2, 2), (1, 1), (8, 9)) == ((0, 1), (1, 1))


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [((0, 3), 1, 1), ((3, 3), 0, 1), ((3, 3), 1, 0), ((3, 3), 1.5, 1)]
)
def test_sizes_below_one_and_fractions_are_refused(kernel, stride, dilation):
    with pytest.raises(GeometryError, match="E-GEOM-03"):
        geometry.window_output(
            (8, 8),
            kernel,
            geometry.per_dimension(stride, 2, "stride"),
            ((0, 0),) * 2,
            geometry.per_dimension(dilation, 2, "dilation"),
        )


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2))
def test_ceil_padding_gives_the_size_of_caffe(size, window, stride, pad):
    if pad >= window or size + 2 * pad < window:
        return
    # pooling_layer.cpp: ceil, then drop a last window that starts in the padding.
    places = int(np.ceil((size + 2 * pad - window) / stride)) + 1
    if pad and (places - 1) * stride >= size + pad:
        places -= 1
    if not pad and (places - 1) * stride >= size:
        places -= 1  # Torch drops a window without a pixel; with stride <= window it cannot occur without padding
    ((lo, hi),) = geometry.ceil_padding((size,), (window,), (stride,), pad)
    assert lo == pad
    assert (size + lo + hi - window) // stride + 1 == places
