"""A search that goes on from what it has found: batches of trials, each drawn by Optuna from the results of the others.

Trials are compared by the mean validation error of their cells, never by the test split. The same results lead to the
same trials: a sweep that was stopped goes on where it was, and what is done is not run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnn_jax.config import override, resolve
from cnn_jax.errors import ConfigError
from cnn_jax.sweep.cells import Cell
from cnn_jax.sweep.search import Choice, Distribution, Integers, LogUniform, Uniform
from cnn_jax.sweep.tidy import validation_error

if TYPE_CHECKING:
    import optuna


class Tuning(NamedTuple):
    """What is searched, and how far.

    Attributes:
        dimensions: key of the config -> its distribution (`cnn_jax.sweep.search`).
        trials: how many settings are tried. Each is run as every cell of the sweep, such as its seeds.
        at_a_time: trials drawn together, before the results of any of them are known.
        seed: of the draws.
    """

    dimensions: Mapping[str, Distribution]
    trials: int
    at_a_time: int = 4
    seed: int = 0

    def climb(self, cells: Sequence[Cell], workdir: Path) -> Iterator[list[Cell]]:
        """The cells of one batch of trials after another; whoever asks for the next has run the last.

        The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter
        Optimization"), which takes trials that are not over for bad ones, so that a batch spreads.

        Raises:
            ConfigError: Optuna is not installed, or a dimension is a key that the cells set themselves.
        """
        for key in sorted({key for cell in cells for key in cell.settings} & self.dimensions.keys()):
            raise ConfigError(
                166, f"the sweep sets {key} itself and the tuning searches it: leave it out of one of them"
            )
        study = _study(self.seed)
        for first in range(0, self.trials, self.at_a_time):
            count = min(self.at_a_time, self.trials - first)
            asked = [study.ask(dict(map(_distribution, self.dimensions.items()))) for _ in range(count)]
            own = [[self._tried(cell, trial.params) for cell in cells] for trial in asked]
            yield list({cell.id: cell for group in own for cell in group}.values())
            for trial, group in zip(asked, own, strict=True):
                error = validation_error(group, workdir)
                # A trial without a result, such as one that diverged, is as bad as can be.
                study.tell(trial, 1.0 if error is None else error)

    def later(self) -> str:
        """What follows the first batch, in words; "" if nothing does."""
        left = self.trials - self.at_a_time
        return f"these are the first trials; {left} more follow from their results" if left > 0 else ""

    def _tried(self, cell: Cell, params: Mapping[str, Any]) -> Cell:
        """The cell with the settings of a trial."""
        chosen = {
            key: d.values[value] if isinstance(d := self.dimensions[key], Choice) else value
            for key, value in params.items()
        }
        said = ", ".join(
            f"{key.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{key.rpartition('.')[2]}={value}"
            for key, value in chosen.items()
        )
        config = resolve({**override(cell.config, []), **override(chosen, [])})
        return Cell(config, f"{cell.label}, {said}", {**cell.settings, **chosen})


def _study(seed: int) -> optuna.Study:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(167, "tuning needs Optuna: pip install 'cnn-jax[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True))


def _distribution(dimension: tuple[str, Distribution]) -> tuple[str, optuna.distributions.BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    key, d = dimension
    if isinstance(d, Choice):  # by place: Optuna has no tuples
        return key, CategoricalDistribution(range(len(d.values)))
    if isinstance(d, Integers):
        return key, IntDistribution(d.lo, d.hi)
    assert isinstance(d, Uniform | LogUniform)
    return key, FloatDistribution(d.lo, d.hi, log=isinstance(d, LogUniform))
