"""Sizes of sliding windows: how large the output is, and what to change when there is none.

A convolution or pooling that has, along one spatial dimension, input N, kernel K, stride S, dilation D and
padding (lo, hi) takes

    (N + lo + hi - D (K - 1) - 1) / S + 1

places (Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning", section 2.4). The division need
not come out: the floor is taken, as Torch does, and `strict=True` refuses the remainder, as the lectures do.

Pure Python, so that a whole sweep is checked without importing JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cnn_jax.errors import GeometryError

Padding = str | int | Sequence[int | Sequence[int]]
Pads = tuple[tuple[int, int], ...]


class Window(NamedTuple):
    """A sliding window in canonical form: one entry per spatial dimension."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Pads
    dilation: tuple[int, ...]
    output: tuple[int, ...]


def per_dimension(value: int | Sequence[int], rank: int, name: str, *, least: int = 1) -> tuple[int, ...]:
    """One number per spatial dimension, from one number for all or a sequence.

    Raises:
        GeometryError: wrong length, not whole numbers, or below `least`.
    """
    values: tuple = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(values) != rank:
        raise GeometryError(
            5,
            f"{name} {value} has {len(values)} entries: give one number, or one per each of the {rank} "
            f"spatial dimensions",
        )
    for entry in values:
        if not _is_whole(entry) or entry < least:
            raise GeometryError(3, f"{name} {value!r} is not legal: use whole numbers of at least {least}")
    return tuple(int(entry) for entry in values)


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    *,
    strict: bool = False,
) -> int:
    """The number of places a window takes along one dimension.

    Args:
        size: input size.
        kernel: kernel size, undilated.
        stride: step of the window.
        padding: (lo, hi), zeros added before and after.
        dilation: distance between neighbouring taps.
        strict: refuse a stride that does not divide the way the window travels.

    Raises:
        GeometryError: no place fits, or under `strict` a remainder is left; the message names a choice that fits.
    """
    window_output((size,), (kernel,), (stride,), (padding,), (dilation,), strict=strict)
    return (size + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def remainder(size: int, kernel: int, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1) -> int:
    """Rows at the end that no window reaches; 0 means the geometry comes out whole."""
    return (size + sum(padding) - dilation * (kernel - 1) - 1) % stride


def window_output(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    *,
    strict: bool = False,
    what: str = "kernel",
) -> tuple[int, ...]:
    """Output sizes of all spatial dimensions; arguments and errors as in `output_size`.

    Args:
        what: "kernel" or "window", the word of the message.
    """
    rank = len(sizes)
    kernel = per_dimension(kernel, rank, f"{what} size")
    strides = per_dimension(strides, rank, "stride")
    dilation = per_dimension(dilation, rank, "dilation")
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    room = [n + lo + hi - r for n, (lo, hi), r in zip(sizes, padding, reach, strict=True)]
    if min(room) < 0:
        raise GeometryError(1, _no_place(sizes, kernel, strides, padding, dilation, reach, room, what))
    if strict and any(r % s for r, s in zip(room, strides, strict=True)):
        raise GeometryError(2, _fraction(sizes, kernel, strides, padding, dilation, room, what))
    return tuple(r // s + 1 for r, s in zip(room, strides, strict=True))


def canonical_padding(
    padding: Padding,
    kernel_size: Sequence[int],
    strides: Sequence[int],
    kernel_dilation: Sequence[int],
    input_size: Sequence[int],
) -> Pads:
    """Padding as one (lo, hi) per spatial dimension.

    Args:
        padding: "VALID" (none), "SAME" (output is ceil(size / stride); asymmetric where the total is odd, the larger
            part after, as XLA and TensorFlow do, which is not Torch's `padding=k//2`), a number for all sides, or per
            dimension a number or a pair (lo, hi). Negative numbers are refused: crop instead.

    Raises:
        GeometryError: none of these.
    """
    rank = len(input_size)
    if isinstance(padding, str):
        if padding == "VALID":
            return ((0, 0),) * rank
        if padding == "SAME":
            totals = [
                max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
                for n, k, s, d in zip(input_size, kernel_size, strides, kernel_dilation, strict=True)
            ]
            return tuple((total // 2, total - total // 2) for total in totals)
        raise _bad_padding(padding, rank)
    entries: Sequence = padding if isinstance(padding, Sequence) else (padding,) * rank
    if len(entries) != rank:
        raise _bad_padding(padding, rank)
    pairs = []
    for entry in entries:
        pair = entry if isinstance(entry, Sequence) else (entry, entry)
        if len(pair) != 2 or not all(_is_whole(side) and side >= 0 for side in pair):
            raise _bad_padding(padding, rank)
        pairs.append((int(pair[0]), int(pair[1])))
    return tuple(pairs)


def ceil_padding(
    input_size: Sequence[int],
    window_shape: Sequence[int],
    strides: Sequence[int],
    padding: Padding = 0,
) -> Pads:
    """Caffe's ceil-mode pooling as explicit padding: pads after, so that the last partial window counts.

    Caffe (`pooling_layer.cpp`, `PoolingLayer::Reshape`) rounds the output size up and then drops a last window that
    would start beyond the input and its leading padding. The result pads `hi` just far enough for those windows, so
    floor mode on it gives Caffe's size.

    Returns:
        One (lo, hi) per spatial dimension.
    """
    rank = len(input_size)
    window_shape = per_dimension(window_shape, rank, "window size")
    strides = per_dimension(strides, rank, "stride")
    pads = canonical_padding(padding, window_shape, strides, (1,) * rank, input_size)
    result = []
    for n, k, s, (lo, hi) in zip(input_size, window_shape, strides, pads, strict=True):
        places = max(-(-(n + lo + hi - k) // s), 0) + 1
        if places > 1 and (places - 1) * s >= n + lo:
            places -= 1
        result.append((lo, max((places - 1) * s + k - n - lo, 0)))
    return tuple(result)


def _is_whole(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _bad_padding(padding: object, rank: int) -> GeometryError:
    return GeometryError(
        4,
        f'padding {padding!r} is not legal: use "VALID", "SAME", a number of at least 0, or {rank} numbers or (lo, hi) '
        "pairs, one per spatial dimension",
    )


def _times(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _pads_text(padding: Sequence[tuple[int, int]]) -> str:
    flat = {side for pair in padding for side in pair}
    return str(flat.pop()) if len(flat) == 1 else ", ".join(f"({lo}, {hi})" for lo, hi in padding)


def _setting(sizes, kernel, padding, dilation, what) -> str:
    dilated = f" with dilation {_times(dilation)}" if max(dilation) > 1 else ""
    return f"{_times(kernel)} {what}{dilated} on a {_times(sizes)} input with padding {_pads_text(padding)}"


def _no_place(sizes, kernel, strides, padding, dilation, reach, room, what) -> str:
    left = [r // s + 1 if r >= 0 else r + 1 for r, s in zip(room, strides, strict=True)]
    most = min((n + lo + hi - 1) // d + 1 for n, (lo, hi), d in zip(sizes, padding, dilation, strict=True))
    least = max(-(-(r - n) // 2) for r, n in zip(reach, sizes, strict=True))
    choices = [f"a {what} of at most {most}"] if most >= 1 else []
    choices += [f"padding of at least {least}", "a larger input"]
    setting = _setting(sizes, kernel, padding, dilation, what)
    return f"{setting} leaves {_times(left)}: use {', '.join(choices[:-1])}, or {choices[-1]}"


def _fraction(sizes, kernel, strides, padding, dilation, room, what) -> str:
    rest = [r % s for r, s in zip(room, strides, strict=True)]
    axis = next(i for i, r in enumerate(rest) if r)
    n, k, s, (lo, hi), d = sizes[axis], kernel[axis], strides[axis], padding[axis], dilation[axis]
    divisors = [t for t in range(s, 0, -1) if room[axis] % t == 0]
    more = s - rest[axis]
    choices = [f"stride {divisors[0]}", f"padding ({lo}, {hi + more})"]
    kernels = [c for c in (k - 1, k + 1, *range(1, k + s + 1)) if c > 0 and n + lo + hi >= d * (c - 1) + 1]
    fitting = next((c for c in kernels if (n + lo + hi - d * (c - 1) - 1) % s == 0), None)
    if fitting is not None:
        choices.insert(0, f"a {what} of {fitting}")
    return (
        f"{_setting(sizes, kernel, padding, dilation, what)} and stride {_times(strides)} leaves {_times(rest)} over "
        f"({room[axis]}/{s} + 1 places is a fraction): use {', '.join(choices)}, or strict=False to take the floor"
    )
