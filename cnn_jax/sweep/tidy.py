"""What a sweep came to, as one tidy table: a row for every cell and seed, its settings as columns.

`results.json` holds it with the environment, `results.csv` and `results.parquet` hold the table alone; `arms.csv` has a
row for every arm, its seeds summed up. An experiment's `claim(results)` is given the table of the cells that are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_jax.sweep.arms import ARM, summary
from cnn_jax.sweep.cells import Cell, is_done, last_notes
from cnn_jax.sweep.plan import Planned
from cnn_jax.train.workdir import DATASET, DONE, ENVIRONMENT, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.json"
TABLE = "results.csv"
PARQUET = "results.parquet"
ARMS = "arms.csv"
MEASURED = "measured.json"
_SPLITS = ("train", "validation", "test")
COLUMNS = (
    *(ARM, "settings", "label", "seed", "id", "status", "error", "params", "macs", "receptive_field", "steps"),
    *("seconds", *(f"{split}_{what}" for split in _SPLITS for what in ("error", "loss"))),
)
"""What the table has of every cell beside its settings; what an experiment measures is called otherwise."""


def gather(experiment: str, planned: Sequence[Planned], workdir: Path) -> dict[str, Any]:
    """What the cells left in their workdirs, as one JSON document.

    Args:
        experiment: its name.
        planned: its cells, in the order of the table.
        workdir: the sweep's.
    """
    notes = last_notes(workdir)
    done = [row for row in planned if is_done(workdir, row.cell)]
    first = workdir / done[0].cell.id if done else None
    cells = [_row(row, workdir, notes.get(row.cell.id)) for row in planned]
    return {
        "experiment": experiment,
        "environment": read_json(first / ENVIRONMENT) if first else None,
        "data": read_json(first / DATASET)["name"] if first else None,
        "cells": cells,
        "arms": summary(cells),
    }


def write_results(document: dict[str, Any], workdir: Path) -> list[Path]:
    """Writes the document and its tables into the sweep's workdir; the files written."""
    write_json(workdir / RESULTS, document)
    frame = table(document["cells"])
    for name, rows in ((TABLE, frame), (ARMS, table(document["arms"]))):
        partial = workdir / f".{name}.partial"
        rows.to_csv(partial, index=False)
        partial.replace(workdir / name)
    frame.to_parquet(workdir / PARQUET, index=False)
    return [workdir / name for name in (RESULTS, TABLE, PARQUET, ARMS)]


def table(cells: Sequence[dict[str, Any]], *, done: bool = False) -> pd.DataFrame:
    """The rows of `results.json` as a table.

    Args:
        cells: `document["cells"]`.
        done: leave out cells without a result.

    Returns:
        A column for each setting under its dotted key (tuples as text, and all of a column where its values are of
        several kinds), `arm` where cells are named, `label`, `seed`, `id`, `status`, `error`, `params`, `macs`,
        `receptive_field`, `steps`, `seconds`, and `SPLIT_error` and `SPLIT_loss` of each split.
    """
    import pandas as pd

    rows = [row for row in cells if not done or row["status"] == "done"]
    settings = list(dict.fromkeys(key for row in rows for key in row["settings"]))
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "settings"))
    told = {key: _of_one_kind([_scalar(row["settings"].get(key)) for row in rows]) for key in settings}
    flat = {**told, **{key: [row.get(key) for row in rows] for key in columns}}
    return pd.DataFrame(flat, columns=list(dict.fromkeys([*settings, *columns])))


def _row(planned: Planned, workdir: Path, note: Any) -> dict[str, Any]:
    cell = planned.cell
    failed = (note or {}).get("status") == "failed"
    final = read_json(workdir / cell.id / DONE) if is_done(workdir, cell) else None
    row = {
        "settings": dict(cell.settings),
        "label": cell.label,
        "seed": cell.config.seed,
        "id": cell.id,
        "status": "done" if final else "failed" if failed else "missing",
        "error": (note or {}).get("error") if failed and not final else None,
        "params": planned.params,
        "macs": planned.macs,
        "receptive_field": planned.receptive_field,
        "steps": final["step"] if final else None,
        "seconds": final["seconds"] if final else None,
    }
    for split in _SPLITS:
        metrics = (final or {}).get(split) or {}
        row[f"{split}_error"] = 1 - metrics["accuracy"] if "accuracy" in metrics else None
        row[f"{split}_loss"] = metrics.get("loss")
    return row | measured(workdir, cell)


def validation_error(cells: Sequence[Cell], workdir: Path) -> float | None:
    """Mean validation error of the cells that are done and have one; None if there is none."""
    finals = [read_json(workdir / cell.id / DONE) for cell in cells if is_done(workdir, cell)]
    errors = [1 - final["validation"]["accuracy"] for final in finals if final.get("validation")]
    return sum(errors) / len(errors) if errors else None


def measured(workdir: Path, cell: Cell) -> dict[str, float]:
    """What `measure_cells` found of a cell; nothing, if nothing was asked."""
    file = workdir / cell.id / MEASURED
    return read_json(file)["numbers"] if file.is_file() else {}


def _of_one_kind(values: list[Any]) -> list[Any]:
    """A column of Parquet holds numbers, truths or text: of several kinds all become text."""
    kinds = {float if type(value) is int else type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return values
    return [value if value is None else str(value) for value in values]


def _scalar(value: Any) -> Any:
    return f"({','.join(map(str, value))})" if isinstance(value, (list, tuple)) else value
