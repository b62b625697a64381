"""What a sweep is going to be: the cost of every cell, what it compiles, how long it takes; nothing is computed."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax import analysis, models
from cnn_jax.schema import DATA_KEYS
from cnn_jax.sweep.cells import Cell, is_done, last_notes
from cnn_jax.sweep.grid import TOTALS, model_name, network_shelf
from cnn_jax.sweep.images import Images, images_of
from cnn_jax.train.build import program_key, total_steps_of
from cnn_jax.train.workdir import DONE, read_json

# A step costs the forward pass, and twice that backward.
_FORWARD_PASSES = 3
# Before anything was measured. Small networks on a CPU: 4 to 35 G MACs a second on two cores in
# experiments/results/history-shapes.json. Elsewhere an accelerator at a few per cent of its peak.
_MACS_PER_SECOND = {"cpu": 8e9 * (os.cpu_count() or 1), "gpu": 5e12, "tpu": 5e12}
_COMPILE_SECONDS = 6.0


class Planned(NamedTuple):
    """One cell of a sweep before it runs.

    Attributes:
        number: its place in the experiment, from 1.
        cell: the cell.
        status: `done`, `failed` or `missing`.
        params: trainable numbers.
        macs: multiply-accumulates of one image, forward.
        receptive_field: of the last feature map along its longer side; None where there is none.
        memory_bytes: parameters, optimiser and activations of a batch, and the images, about.
        images_seen: training images.
        seconds: predicted; 0 for a cell that is done.
        seconds_from: what the prediction stands on: `measured`, `scaled` or `guessed`.
        program: cells of one program differ in their seed and scalars alone, and compile once.
    """

    number: int
    cell: Cell
    status: str
    params: int
    macs: int
    receptive_field: float | None
    memory_bytes: int
    images_seen: int
    seconds: float
    seconds_from: str
    program: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        kept = {key: value for key, value in self._asdict().items() if key not in ("cell", "program")}
        return {**kept, "id": self.cell.id, "label": self.cell.label, "settings": dict(self.cell.settings)}


def count_programs(cells: Sequence[Cell]) -> int:
    """How many programs these cells compile."""
    return len({program_key(cell.config) for cell in cells})


def in_running_order(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with those of one data set, and in it of one program, after each other; otherwise as they come."""
    places: dict[Any, int] = {}

    def place(key: Any) -> int:
        return places.setdefault(key, len(places))

    def order(cell: Cell) -> tuple[int, int]:
        data = tuple(str(cell.config[name]) for name in DATA_KEYS)
        return place(data), place(program_key(cell.config))

    return sorted(cells, key=order)


def chunks(cells: Sequence[Cell], parts: int) -> list[list[Cell]]:
    """The cells program by program; programs with many cells in pieces, where there are fewer programs than `parts`."""
    programs = [list(group) for _, group in groupby(cells, key=lambda cell: program_key(cell.config))]
    pieces = max(1, -(-parts // len(programs))) if programs else 1
    cut = []
    for program in programs:
        size = -(-len(program) // pieces)
        cut += [program[start : start + size] for start in range(0, len(program), size)]
    return cut


def make_plan(cells: Sequence[Cell], workdir: Path, known: dict[str, Images] | None = None) -> list[Planned]:
    """Costs of every cell, in their order. Networks that are equal are traced once.

    Seconds are those of finished cells of the same program in the workdir (`measured`); else what finished cells took
    for a MAC (`scaled`); else a rule of thumb (`guessed`).

    Args:
        cells: legal ones.
        workdir: the sweep's; it need not exist.
        known: what is known of the data sets.

    Raises:
        DataError: the data has to be read to know its size, and cannot be.
        GeometryError: a cell that is not legal.
    """
    known = {} if known is None else known
    notes, totals = last_notes(workdir), {}
    costs = [_costs(cell, known, totals) for cell in cells]
    clock = _Clock(cells, costs, workdir)
    planned = []
    for number, (cell, cost) in enumerate(zip(cells, costs, strict=True), 1):
        done = is_done(workdir, cell)
        failed = notes.get(cell.id, {}).get("status") == "failed"
        seconds, seconds_from = (0.0, "measured") if done else clock.predict(cell, cost)
        status = "done" if done else "failed" if failed else "missing"
        place = (number, cell, status)
        size = (cost.params, cost.macs, cost.field, cost.memory, cost.images)
        planned.append(Planned(*place, *size, round(seconds, 1), seconds_from, program_key(cell.config)))
    return planned


class _Cost(NamedTuple):
    params: int
    macs: int
    field: float | None
    memory: int
    images: int
    work: int  # MACs of the whole run


def _costs(cell: Cell, known: dict[str, Images], totals: dict[str, dict[str, Any]]) -> _Cost:
    config, images = cell.config, images_of(cell.config, known)
    key = json.dumps([model_name(config), images.shape, images.classes])

    def counted() -> dict[str, Any]:
        keywords = {"num_classes": images.classes, **config.model}
        return analysis.totals(models.create(keywords.pop("name"), **keywords), images.shape)

    if key not in totals:
        totals[key] = network_shelf(config, images).value(TOTALS, counted)
    total = totals[key]
    steps = total_steps_of(config, images.sizes["train"])
    seen = steps * config.batch_size
    evaluations = steps // (config.eval_every or max(1, images.sizes["train"] // config.batch_size))
    evaluated = evaluations * images.sizes.get("validation", 0) + images.sizes.get("test", 0)
    # `bytes_training` is of one image: parameters, gradient, momentum, and activations, of which a batch has more.
    state = 12 * total["params"] + 4 * total["batch_stats"]
    part = config.batch_size // config.accumulate
    memory = state + part * max(0, total["bytes_training"] - state) + _bytes_of(images)
    field = total["receptive_field"]
    return _Cost(
        total["params"],
        total["macs"],
        max(field) if isinstance(field, (list, tuple)) else field,
        memory,
        seen,
        total["macs"] * (_FORWARD_PASSES * seen + evaluated),
    )


def _bytes_of(images: Images) -> int:
    height, width, channels = images.shape
    return sum(images.sizes.values()) * (height * width * channels + 4)


class _Clock:
    """Predicts seconds from what finished cells took."""

    def __init__(self, cells: Sequence[Cell], costs: Sequence[_Cost], workdir: Path):
        self._alike = Counter(program_key(cell.config) for cell in cells)
        self._by_program: dict[str, list[float]] = {}
        seconds = work = 0.0
        for cell, cost in zip(cells, costs, strict=True):
            if is_done(workdir, cell):
                took = read_json(workdir / cell.id / DONE)["seconds"]
                self._by_program.setdefault(program_key(cell.config), []).append(took)
                seconds, work = seconds + took, work + cost.work
        self._per_mac = seconds / work if work else None

    def predict(self, cell: Cell, cost: _Cost) -> tuple[float, str]:
        same = self._by_program.get(program_key(cell.config))
        if same:
            return sum(same) / len(same), "measured"
        if self._per_mac is not None:
            return cost.work * self._per_mac, "scaled"
        import jax

        rate = _MACS_PER_SECOND.get(jax.default_backend(), _MACS_PER_SECOND["gpu"])
        return _COMPILE_SECONDS / self._alike[program_key(cell.config)] + cost.work / rate, "guessed"
