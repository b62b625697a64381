"""Trains one config with several seeds and writes the outcome as a result file.

    python scripts/run_recipe.py configs/lenet_mnist.py:PATH --seeds=3 --name=lenet-mnist --data="MNIST"

`experiments/results/NAME.json` is what a table of the README is generated from. A second call goes on where the first
stopped.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

from cnn_jax.config import load_config
from cnn_jax.sweep.cells import Cell, run_cells
from cnn_jax.sweep.results import collect, publish
from cnn_jax.train.progress import ProgressBar

_RESULTS = Path(__file__).parents[1] / "experiments" / "results"


def main() -> None:
    """Runs what is missing and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="a config file, with its argument after a colon")
    parser.add_argument("--name", required=True, help="of the result file")
    parser.add_argument("--data", required=True, help="what to call the data, so that no path is written down")
    parser.add_argument("--label", required=True, help="what to call the network")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workdir", type=Path, default=Path("runs"))
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    started = time.time()
    cells = [
        Cell(load_config(options.config, [f"seed={seed}"]), f"{options.label} seed {seed}")
        for seed in range(options.seeds)
    ]
    workdir = options.workdir / options.name
    for cell, outcome in run_cells(cells, workdir, lambda cell: ProgressBar(cell.label)):
        print(cell.label, outcome, flush=True)
    family = cells[0].config.model.name.partition(":")[0]
    results = collect(
        options.name, workdir, cells, [(family, options.label)], preset="recipe", seconds=time.time() - started
    )
    publish(results, _RESULTS / f"{options.name}.json", data=options.data)


if __name__ == "__main__":
    main()
