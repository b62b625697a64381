"""Whether models have an output at their input size, before anything runs: one cell or a whole sweep."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn

from cnn_jax import models
from cnn_jax.analysis.summary import default_input, show
from cnn_jax.analysis.trace import shapes
from cnn_jax.errors import CnnJaxError, ConfigError, GeometryError

_GEOMETRY = re.compile(r"(kernel_size|strides|padding|window|window_shape)(_\d+)?$")
_FARTHEST = 4
_TRIES = 24

Fault = Callable[[nn.Module, tuple[int, ...]], "Problem | None"]


class Cell(NamedTuple):
    """One model at one input size.

    Attributes:
        name: what to call it in a report.
        model: a Linen module, or a name of the catalogue.
        input_shape: (H, W, C); by default what the paper of a named model uses.
    """

    name: str
    model: nn.Module | str
    input_shape: Sequence[int] | None = None


@dataclass(frozen=True)
class Problem:
    """A cell that cannot be built.

    Attributes:
        cell: its name.
        layer: path of the layer that does not fit, "" if the fault is not one layer's.
        code: of the error, such as E-GEOM-01; "" for a fault of a model that checks none.
        message: what is wrong, with the numbers, and what would fit there.
        neighbours: nearest changes that make the whole model legal, such as "kernel_size=3".
    """

    cell: str
    layer: str
    code: str
    message: str
    neighbours: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The problem as plain JSON data."""
        return dataclasses.asdict(self) | {"neighbours": list(self.neighbours)}

    def __str__(self) -> str:
        layer = f"layer {self.layer}: " if self.layer else ""
        legal = f" (legal: {'; '.join(self.neighbours)})" if self.neighbours else ""
        return f"{self.cell}: {layer}{self.message}{legal}"


def check(
    cells: nn.Module | str | Iterable[Cell],
    input_shape: Sequence[int] | None = None,
    *,
    strict: bool = False,
    suggestions: int = 5,
) -> list[Problem]:
    """Checks one model, or every cell of a sweep, by tracing shapes. Equal cells are traced once.

    Args:
        cells: a Linen module, a name of the catalogue, or cells.
        input_shape: (H, W, C) of a single model; a module needs it.
        strict: a stride that leaves a remainder is a problem as well.
        suggestions: for how many different faulty models to look for legal neighbours, which takes some traces each.

    Returns:
        One problem per cell that cannot be built; empty if all can.

    Raises:
        ConfigError: a module without an input size.
    """
    if isinstance(cells, nn.Module | str):
        cells = [Cell(cells if isinstance(cells, str) else type(cells).__name__, cells, input_shape)]
    known: dict[Any, Problem | None] = {}
    problems = []
    fault = partial(_fault, strict=strict)
    for cell in cells:
        problem = _checked(cell, known, fault, lambda: sum(p is not None for p in known.values()) < suggestions)
        if problem is not None:
            problems.append(dataclasses.replace(problem, cell=cell.name))
    return problems


def _checked(
    cell: Cell, known: dict[Any, Problem | None], fault: Fault, may_search: Callable[[], bool]
) -> Problem | None:
    try:
        model, shape = _resolved(cell)
    except CnnJaxError as error:
        return _problem(error)
    key = (type(model), repr(model), shape)
    if key not in known:
        problem = fault(model, shape)
        if problem is not None and may_search():
            problem = dataclasses.replace(problem, neighbours=tuple(_neighbours(model, shape, fault)))
        known[key] = problem
    return known[key]


def _resolved(cell: Cell) -> tuple[nn.Module, tuple[int, ...]]:
    shape = cell.input_shape
    if isinstance(cell.model, str):
        return models.create(cell.model), tuple(shape or default_input(cell.model))
    if shape is None:
        raise ConfigError(92, f"{cell.name} has no input size: give (H, W, C), such as (32, 32, 3)")
    return cell.model, tuple(shape)


def _fault(model: nn.Module, shape: tuple[int, ...], *, strict: bool) -> Problem | None:
    try:
        if strict:
            show(model, shape, strict=True)
        else:
            shapes(model, shape)
    except Exception as error:  # models that check no geometry raise whatever Flax or they themselves raise
        return _problem(error)
    return None


def _problem(error: Exception) -> Problem:
    if isinstance(error, CnnJaxError):
        layer = error.layer if isinstance(error, GeometryError) else ""
        return Problem("", layer, f"E-{error.area}-{error.number:02d}", error.message)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return Problem("", "", "", f"{type(error).__name__}: {lines[0]}")


def _neighbours(model: nn.Module, shape: tuple[int, ...], fault: Fault) -> Iterator[str]:
    """The nearest legal value of each keyword of geometry, and the nearest larger input, each by itself."""
    for field in dataclasses.fields(model):
        value = getattr(model, field.name, None)
        if not _GEOMETRY.search(field.name) or not isinstance(value, int) or isinstance(value, bool):
            continue
        least = 0 if field.name.startswith("padding") else 1
        steps = (value + sign * step for step in range(1, _FARTHEST + 1) for sign in (-1, 1))
        candidates = (v for v in steps if v >= least)

        def fits(candidate: int, name: str = field.name) -> bool:
            return fault(dataclasses.replace(model, **{name: candidate}), shape) is None

        legal = next(filter(fits, candidates), None)
        if legal is None and field.name.startswith(("kernel_size", "window")) and value > 1 and fits(1):
            legal = _largest(fits, 1, value)
        if legal is not None:
            yield f"{field.name}={legal}"
    larger = ((*(n + step for n in shape[:-1]), shape[-1]) for step in itertools.chain(range(1, 9), range(16, 513, 16)))
    for candidate in itertools.islice(larger, _TRIES):
        if fault(model, candidate) is None:
            yield f"input={','.join(map(str, candidate))}"
            return


def _largest(fits: Callable[[int], bool], legal: int, illegal: int) -> int:
    """The largest value below `illegal` that fits, for windows: what fits a map, every smaller window fits too."""
    while illegal - legal > 1:
        middle = (legal + illegal) // 2
        legal, illegal = (middle, illegal) if fits(middle) else (legal, middle)
    return legal
