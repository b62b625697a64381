"""Receptive fields of whole arrays: how each dimension of a value moves over the image.

A `Field` holds, for every spatial axis of the image, which dimensions of the value walk along it and the spans of
pixels seen (`span.Span`). Dimensions that do not walk, as channels or after global pooling, have no part in it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cnn_jax.analysis.reach import Reach, every_pixel, together
from cnn_jax.analysis.span import Bounds, Span, hull, identity, union

Shape = Sequence[int]


@dataclass(frozen=True)
class Axis:
    """One axis of the image as a value sees it.

    Attributes:
        links: (dimension, step) pairs: the unit's index is the sum of step * index along each dimension. One pair,
            (dimension, 1), but for maps split into blocks by a reshape; none where all units see the same.
        spans: what unit i sees, borders disregarded, is the hull of these.
        reach: what each unit of the map really sees.
    """

    links: tuple[tuple[int, int], ...]
    spans: tuple[Span, ...]
    reach: Reach = dataclasses.field(compare=False)

    def each(self, change: Callable[[Span], Span]) -> tuple[Span, ...]:
        """The spans after one change to all."""
        return union([change(span) for span in self.spans])

    def step(self, dim: int) -> int | None:
        """Step of a dimension, or None if it does not walk along this axis."""
        return dict(self.links).get(dim)

    def collapse(self) -> Axis:
        """The axis of a value every entry of which may see what any unit sees."""
        count = self.reach.lo.size
        return Axis((), self.each(lambda s: s.collapse(count)), self.reach.collapse()) if self.links else self

    def without(self, dim: int, size: int) -> Axis:
        """The axis after a dimension of `size` entries was reduced, flattened or mixed."""
        step = self.step(dim)
        if step is None:
            return self
        links = tuple(link for link in self.links if link[0] != dim)
        if not links:
            return self.collapse()
        count = self.reach.lo.size - step * (size - 1)
        spans = self.each(lambda s: s.window(size=size, dilation=step))
        return _normal(links, spans, self.reach.window(count, size=size, dilation=step))

    def windowed(self, dim: int, count: int, **window: int) -> Axis:
        """The axis after a sliding window with `count` places along a dimension; see `Span.window`.

        Along a dimension that is one of several blocks, everything may be seen.
        """
        if self.step(dim) is None or (len(self.links) > 1 and window_is_idle(**window)):
            return self
        if len(self.links) > 1:
            return self.collapse()
        return Axis(((dim, 1),), self.each(lambda s: s.window(**window)), self.reach.window(count, **window))

    def mixed(self, dim: int, support: Sequence[Bounds], size: int) -> Axis:
        """The axis after a fixed linear map along a dimension of `size` entries; see `Span.mixed`."""
        if self.links != ((dim, 1),):
            return self.without(dim, size)
        return Axis(self.links, self.each(lambda span: span.mixed(support, size)), self.reach.mixed(support))

    def renamed(self, new: Callable[[int], int]) -> Axis:
        """The axis with its dimensions renumbered."""
        return Axis(tuple((new(dim), step) for dim, step in self.links), self.spans, self.reach)

    @property
    def jump(self) -> Fraction:
        """Pixels between neighbouring units; of several sources the farthest apart."""
        return max((span.jump for span in self.spans), key=abs, default=Fraction(0))

    def bounds(self, index: Sequence[int], *, real: bool = True) -> Bounds:
        """Pixels seen by the unit at a full index into the value; unless `real`, as if maps had no borders."""
        unit = sum(step * index[dim] for dim, step in self.links)
        return self.reach.at(unit) if real else hull(span.at(unit) for span in self.spans)

    def sizes(self) -> list[int]:
        """Pixels seen by the units of one period that see any, borders disregarded."""
        if len(self.spans) == 1:
            return self.spans[0].sizes()
        merged = [hull(span.at(unit) for span in self.spans) for unit in range(self.reach.lo.size)]
        return [hi - lo + 1 for lo, hi in filter(None, merged)]


def window_is_idle(**window: int) -> bool:
    """Whether a sliding window moves nothing."""
    return all(value == (0 if name == "padding" else 1) for name, value in window.items())


Field = tuple[Axis, ...]


def image_field(shape: Shape) -> Field:
    """The field of a batch of images, [1, spatial..., C]."""
    return tuple(Axis(((dim, 1),), (identity(),), every_pixel(shape[dim])) for dim in range(1, len(shape) - 1))


def join(fields: Iterable[Field]) -> Field:
    """The field of a value made of several of the same shape, entry by entry."""
    return tuple(_join_axes(list(axes)) for axes in zip(*fields, strict=True))


def over(field: Field, change: Callable[[Axis], Axis]) -> Field:
    """The field with every axis changed."""
    return tuple(map(change, field))


def collapsed(field: Field) -> Field:
    """The field of a value each entry of which may depend on all of this one."""
    return over(field, Axis.collapse)


def reshaped(field: Field, old: Shape, new: Shape) -> Field:
    """The field after a reshape: splitting and interleaving dimensions is followed, flattening collapses them."""
    for old_dims, new_dims in _groups(old, new):
        shared = [dim for axis in field for dim, _ in axis.links if dim in old_dims]
        field = over(field, lambda axis, o=old_dims, n=new_dims, s=shared: _regroup(axis, o, n, s, old, new))
    return over(field, lambda axis: axis.renamed(lambda dim: dim - len(old)))


def _regroup(axis: Axis, old_dims: list[int], new_dims: list[int], walking: list[int], old: Shape, new: Shape) -> Axis:
    """Maps links of one group of dimensions, of which `walking` walk along some axis.

    New dimensions are numbered from len(old) on until all are done.
    """
    linked = [dim for dim in old_dims if axis.step(dim) is not None]
    if not linked:
        return axis
    rank = len(old)
    wide_old = [dim for dim in old_dims if old[dim] != 1] or linked[:1]
    wide_new = [dim for dim in new_dims if new[dim] != 1] or new_dims[:1]
    others = tuple(link for link in axis.links if link[0] not in old_dims)
    if not set(linked) <= set(wide_old):
        for dim in set(linked) - set(wide_old):
            axis = axis.without(dim, 1)
        return _regroup(axis, old_dims, new_dims, walking, old, new)
    if len(wide_old) == 1 and wide_new:
        step = axis.step(wide_old[0])
        assert step is not None
        strides = {dim: math.prod(new[d] for d in new_dims if d > dim) for dim in wide_new}
        return Axis(others + tuple((rank + dim, step * strides[dim]) for dim in wide_new), axis.spans, axis.reach)
    strides = {dim: math.prod(old[d] for d in old_dims if d > dim) for dim in wide_old}
    if len(wide_new) == 1 and linked == wide_old:
        last = axis.step(wide_old[-1])
        if last is not None and all(axis.step(dim) == last * strides[dim] for dim in wide_old):
            return _normal((*others, (rank + wide_new[0], last)), axis.spans, axis.reach)
    interleaved = linked == walking == wide_old[:1] and old_dims[-1] != len(old) - 1 and not others
    if len(wide_new) == 1 and interleaved and axis.step(linked[0]) == 1:
        times = strides[linked[0]]
        return Axis(((rank + wide_new[0], 1),), axis.each(lambda s: s.repeat(times)), axis.reach.repeat(times))
    for dim in linked:
        axis = axis.without(dim, old[dim])
    return axis


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Shortest runs of dimensions, old and new, that hold the same number of entries."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        olds, news = [], []
        if i < len(old):
            olds, i = [i], i + 1
        if j < len(new) and not (olds and old[olds[0]] == 1 and new[j] != 1):
            news, j = [j], j + 1
        while math.prod(old[d] for d in olds) != math.prod(new[d] for d in news):
            if math.prod(old[d] for d in olds) < math.prod(new[d] for d in news):
                olds, i = [*olds, i], i + 1
            else:
                news, j = [*news, j], j + 1
        groups.append((olds, news))
    return groups


def _join_axes(axes: list[Axis]) -> Axis:
    links = {axis.links for axis in axes if axis.links}
    if len(links) > 1:
        first = axes[0]
        axes = [first, *(axis.collapse() if axis.links != first.links else axis for axis in axes[1:])]
        links = {first.links}
    spans = union([span for axis in axes for span in axis.spans])
    return Axis(next(iter(links), ()), spans, together([axis.reach for axis in axes]))


def _normal(links: tuple[tuple[int, int], ...], spans: tuple[Span, ...], reach: Reach) -> Axis:
    """An axis walked by one dimension alone has step 1."""
    if len(links) == 1 and links[0][1] != 1:
        step = links[0][1]
        walked = union([span.window(stride=step) for span in spans])
        return Axis(((links[0][0], 1),), walked, reach.window((reach.lo.size - 1) // step + 1, stride=step))
    return Axis(links, spans, reach)
