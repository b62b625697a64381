"""Successive halving: many arms on a small budget, the better part of them on a larger one, and so on.

Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"; Li et al. 2018,
"Hyperband", section 3. An experiment asks for it beside its sweep:

    halving = Halving("total_epochs", start=1, factor=3, rungs=3)

Arms are compared by their mean validation error over seeds, never by the test split. Every rung trains afresh: learning
rates follow the length of a run, so that a longer run is not a shorter one gone on with.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.config import override, resolve
from cnn_jax.errors import ConfigError
from cnn_jax.schema import LENGTHS
from cnn_jax.sweep.cells import Cell
from cnn_jax.sweep.tidy import validation_error


class Halving(NamedTuple):
    """How budgets grow and arms fall.

    Attributes:
        key: `total_steps`, `total_epochs` or `total_examples`.
        start: its value on the first rung.
        factor: by which it grows from rung to rung, and by which the number of arms falls (rounded down, one at least).
        rungs: how many there are.
    """

    key: str
    start: float
    factor: int = 3
    rungs: int = 3

    def budget(self, rung: int) -> float:
        """The value of `key` on a rung, counted from 0."""
        return self.start * self.factor**rung

    def climb(self, cells: Sequence[Cell], workdir: Path) -> Iterator[list[Cell]]:
        """The cells of one rung after another; whoever asks for the next rung has run the last one.

        Raises:
            ConfigError: no cell of a rung has a validation error to compare by.
        """
        arms: dict[str, list[Cell]] = defaultdict(list)
        for cell in cells:
            arms[_arm(cell)].append(cell)
        for rung in range(self.rungs):
            own = {arm: [_at(cell, self, rung) for cell in group] for arm, group in arms.items()}
            yield [cell for group in own.values() for cell in group]
            if rung < self.rungs - 1:
                errors = {arm: validation_error(group, workdir) for arm, group in own.items()}
                ranked = sorted((arm for arm in arms if errors[arm] is not None), key=lambda arm: errors[arm] or 0.0)
                if not ranked:
                    why = "see what failed, or set config.validation above 0"
                    raise ConfigError(158, f"no cell of rung {rung + 1} in {workdir} has a validation error: {why}")
                arms = {arm: arms[arm] for arm in ranked[: max(1, len(arms) // self.factor)]}

    def later(self) -> str:
        """What follows the first rung, in words; "" if nothing does."""
        budgets = ", ".join(f"{self.key}={self.budget(rung):g}" for rung in range(1, self.rungs))
        return f"this is the first rung; the best 1/{self.factor} of each go on at {budgets}" if budgets else ""


def _arm(cell: Cell) -> str:
    return json.dumps({key: value for key, value in cell.settings.items() if key != "seed"}, sort_keys=True)


def _at(cell: Cell, halving: Halving, rung: int) -> Cell:
    """The cell with the budget of a rung."""
    budget = halving.budget(rung)
    flat = {key: value for key, value in override(cell.config, []).items() if key not in LENGTHS}
    settings: dict[str, Any] = {**cell.settings, halving.key: budget}
    return Cell(resolve({**flat, halving.key: budget}), f"{cell.label}, {halving.key}={budget:g}", settings)
