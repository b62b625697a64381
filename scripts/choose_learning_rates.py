"""Chooses the learning rates of the history, on the validation split.

    python scripts/choose_learning_rates.py --workdir=runs/learning-rates

Each network of the history's laptop preset is trained once with each of `LEARNING_RATES`. The validation errors are
written to `experiments/results/history-learning-rates.json`; the test split is not looked at by this script. The
seed is one that the history itself does not use.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cnn_jax.config import override, resolve, to_dict
from cnn_jax.sweep.cells import Cell, last_notes, run_cells
from cnn_jax.sweep.history import LEARNING_RATES, NETWORKS, cells
from cnn_jax.train.progress import Silence
from cnn_jax.train.workdir import DONE, ENVIRONMENT, read_json, write_json

_RESULTS = Path(__file__).parents[1] / "experiments" / "results" / "history-learning-rates.json"
_SEED = 1000


def main() -> None:
    """Runs what is missing and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", default="runs/learning-rates", type=Path)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    rows = []
    tried = [
        Cell(_with(cell.config, rate), f"{network.label} lr {rate}")
        for network, cell in zip(NETWORKS, (c for c in cells("laptop") if c.config.seed == 0), strict=True)
        for rate in LEARNING_RATES
    ]
    for cell, outcome in run_cells(tried, options.workdir, lambda cell: Silence()):
        own = options.workdir / cell.id
        done = read_json(own / DONE) if (own / DONE).is_file() else None
        error = 1 - done["validation"]["accuracy"] if done else None
        rows.append(
            {
                "model": cell.config.model.name,
                "learning_rate": cell.config.optimizer.learning_rate,
                "status": outcome,
                "error": None if done else last_notes(options.workdir)[cell.id]["error"],
                "validation_error": error,
                "n": done["validation"]["n"] if done else None,
            }
        )
        print(f"{cell.label:32s} {outcome if error is None else f'{100 * error:.2f}%'}", flush=True)
    config = to_dict(tried[0].config)
    del config["model"], config["optimizer"]["learning_rate"]
    environment = read_json(options.workdir / tried[0].id / ENVIRONMENT)
    write_json(_RESULTS, {"seed": _SEED, "config": config, "environment": environment, "runs": rows})


def _with(config, rate: float):
    return resolve(override(config, [f"optimizer.learning_rate={rate}", f"seed={_SEED}"]))


if __name__ == "__main__":
    main()
