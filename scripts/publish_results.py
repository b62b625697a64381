"""Makes the results of a history a file that can be committed, for the README's tables.

python scripts/publish_results.py runs/history --name=history-shapes --data=shapes
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cnn_jax.sweep.results import RESULTS, publish
from cnn_jax.train.workdir import read_json

_RESULTS = Path(__file__).parents[1] / "experiments" / "results"


def main() -> None:
    """Writes `experiments/results/NAME.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--name", required=True, help="of the result file")
    parser.add_argument("--data", required=True, help="what to call the data")
    options = parser.parse_args()
    publish(read_json(options.workdir / RESULTS), _RESULTS / f"{options.name}.json", data=options.data)


if __name__ == "__main__":
    main()
