"""What an experiment's `get_hyper(hyper)` is handed: the idiom of big_vision, scenic and init2winit, unchanged.

    def get_hyper(hyper):
        return hyper.product([
            hyper.sweep("config.optimizer.learning_rate", [0.1, 0.3]),
            hyper.zipit([hyper.loguniform("config.optimizer.weight_decay", hyper.interval(1e-5, 1e-3))], length=4),
        ])

Keys may begin with `config.`, as they do there. Names and meaning are theirs; the work is done by `space` and `search`.
`uniform` and `loguniform` have no length of their own: `zipit(..., length=N)` draws them, together, from one Halton
sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cnn_jax.errors import ConfigError
from cnn_jax.sweep import search, space
from cnn_jax.sweep.space import Space


class Interval(NamedTuple):
    """A range of numbers."""

    lo: float
    hi: float


class Endless(NamedTuple):
    """A parameter with no length of its own: drawn, or one value repeated; `zipit` gives it one."""

    key: str
    distribution: search.Distribution


def sweep(name: str, values: Iterable[Any]) -> Space:
    """One parameter, one value after another."""
    return space.axis(_key(name), values)


def fixed(name: str, value: Any, length: int | None = None) -> Space | Endless:
    """A parameter that stays as it is, `length` times; without a length, as often as its neighbours in `zipit` need."""
    if length is None:
        return Endless(_key(name), search.choice(value))
    return space.axis(_key(name), [value] * length)


def product(spaces: Sequence[Space | Endless], name: str = "") -> Space:
    """All combinations.

    Raises:
        ConfigError: a drawn parameter outside `zipit`, or a key that is set twice.
    """
    del name
    return space.product(*(_finite(part) for part in spaces))


def zipit(spaces: Sequence[Space | Endless], length: int | None = None, name: str = "") -> Space:
    """Side by side: the first of each, the second of each; drawn parameters are drawn here.

    Args:
        spaces: what to put side by side.
        length: how many; by default, the one length that those with a length have. Longer ones are cut.
        name: for readers.

    Raises:
        ConfigError: nothing gives a length, or something is too short for it.
    """
    del name
    lengths = [len(part) for part in spaces if not isinstance(part, Endless)]
    if length is None and not lengths:
        raise ConfigError(166, "zipit of drawn parameters has no length: write hyper.zipit([...], length=N)")
    drawn = {part.key: part.distribution for part in spaces if isinstance(part, Endless)}
    count = max(lengths) if length is None else length
    parts = [part if length is None else part[:length] for part in spaces if not isinstance(part, Endless)]
    return space.zipped(*parts, *([search.draw(drawn, count)] if drawn else []))


def chainit(spaces: Sequence[Space | Endless], name: str = "") -> Space:
    """One after another.

    Raises:
        ConfigError: a drawn parameter outside `zipit`.
    """
    del name
    return space.chain(*(_finite(part) for part in spaces))


def discrete(values: Iterable[Any]) -> list[Any]:
    """Numbers to choose from."""
    return list(values)


def categorical(values: Iterable[Any]) -> list[Any]:
    """Words to choose from."""
    return list(values)


def boolean() -> list[bool]:
    """True and False."""
    return [True, False]


def interval(lo: float, hi: float) -> Interval:
    """A range to draw from."""
    return Interval(lo, hi)


def uniform(name: str, domain: Interval | Sequence[Any]) -> Endless:
    """A parameter drawn evenly from a range or from values."""
    return Endless(_key(name), search.uniform(*domain) if isinstance(domain, Interval) else search.choice(*domain))


def loguniform(name: str, domain: Interval) -> Endless:
    """A parameter drawn evenly in its logarithm."""
    return Endless(_key(name), search.log_uniform(*domain))


def finished(made: Space | Endless | Iterable[Mapping[str, Any]]) -> Space:
    """What `get_hyper` returned, as a space; it may be any iterable of mappings.

    Raises:
        ConfigError: a drawn parameter outside `zipit`.
    """
    found = _finite(made) if isinstance(made, Endless) else made
    return [{_key(key): value for key, value in settings.items()} for settings in found]


def _finite(part: Space | Endless) -> Space:
    if not isinstance(part, Endless):
        return part
    if isinstance(part.distribution, search.Choice) and len(part.distribution.values) == 1:
        return space.axis(part.key, part.distribution.values)
    raise ConfigError(167, f"{part.key} is drawn: put it into hyper.zipit([...], length=N)")


def _key(name: str) -> str:
    return name.removeprefix("config.")
