"""What a benchmark is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from cnn_jax.bench.blocks import interleave
from cnn_jax.bench.result import Result, Row


class Context(NamedTuple):
    """The surroundings of one benchmark.

    Attributes:
        result: where findings go.
        smoke: whether every part is to be exercised, at sizes whose figures mean nothing.
        blocks: how many blocks a side.
        peer_python: the interpreter of the peers.
        threads: that both sides may use; 0 for any number.
        platform: JAX's, `cpu` or `gpu`.
        scratch: a folder that is removed afterwards.
        say: tells the user how it goes on.
        overrides: `KEY=VALUE` for the config of a recipe.
        others: results of the benchmarks that ran before, as JSON holds them, by id.
    """

    result: Result
    smoke: bool
    blocks: int
    peer_python: Path
    threads: int
    platform: str
    scratch: Path
    say: Callable[[str], None]
    overrides: Sequence[str] = ()
    others: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    def measure(
        self,
        case: str,
        sides: Mapping[str, Callable[[], float]],
        rows: Mapping[str, Row],
        *,
        blocks: int | None = None,
        settle: float | None = None,
    ) -> None:
        """Interleaves "ours" with its peers and keeps what each block gives.

        Args:
            case: for the user.
            sides: "ours" and the peers, each a function that returns seconds.
            rows: the row of each peer.
            blocks: if not as many as asked for.
            settle: seconds of rest before a block, if not the usual ones.
        """

        def keep(seconds: Mapping[str, list[float]]) -> None:
            for peer, row in rows.items():
                row.ours, row.theirs = list(seconds["ours"]), list(seconds.get(peer, []))
            self.result.save()
            done = len(seconds["ours"])
            latest = {peer: row.ratios()[-1] for peer, row in rows.items() if row.ratios()}
            against = ", ".join(f"{ratio:.2f} of {peer}" for peer, ratio in latest.items())
            self.say(f"{case}: block {done} of {blocks or self.blocks}{': ' + against if against else ''}")

        options: dict[str, Any] = {} if settle is None else {"settle": settle}
        interleave(sides, blocks or self.blocks, keep, **options)
