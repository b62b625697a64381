"""C5 and G5: what the compilation cache saves, measured by real launches of real processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cnn_jax.bench.context import Context
from cnn_jax.bench.process import run_python

_HERE = Path(__file__).parent
_PREPARE = "from cnn_jax.data import load_dataset; load_dataset('shapes:tiny')"


def second_sweep(context: Context) -> None:
    """C5: a sweep launched twice into new workdirs; the first launch fills the cache, the second finds it."""
    file = _HERE / ("two_cells.py" if context.smoke else "twelve_cells.py")
    row = context.result.row(
        file.stem,
        "first launch",
        facts={"peer": "the same sweep with an empty compilation cache", "data": "prepared before both"},
    )
    cache, launches = context.scratch / "cache", 0

    def launch() -> float:
        nonlocal launches
        launches += 1
        workdir = context.scratch / f"sweep-{launches}"
        command = ["-m", "cnn_jax", "sweep", f"--experiment={file}", f"--workdir={workdir}", "--json"]
        seconds, _ = run_python(command, CNN_JAX_CACHE=str(cache))
        shutil.rmtree(workdir)
        return seconds

    def first() -> float:
        shutil.rmtree(cache, ignore_errors=True)
        run_python(["-c", _PREPARE], CNN_JAX_CACHE=str(cache))
        return launch()

    context.measure(file.stem, {"first launch": first, "ours": launch}, {"first launch": row})


_FIRST_STEP = "import json, sys; from cnn_jax.bench.launches import to_first_step as f; f(*json.loads(sys.argv[1]))"


def first_step(context: Context) -> None:
    """G5: from the start of Python to the end of a training step of ResNet-50, with a cache that knows it."""
    model, batch, size = ("lenet:small", 4, 32) if context.smoke else ("resnet:50", 256, 224)
    precision = "bfloat16" if context.platform == "gpu" else "float32"
    argument = json.dumps([model, batch, size, precision])
    cache = context.scratch / "cache"
    row = context.result.row(
        model,
        "cold",
        facts={"batch_size": batch, "precision": precision, "peer": "the same with an empty compilation cache"},
    )

    def cold() -> float:
        shutil.rmtree(cache, ignore_errors=True)
        return run_python(["-c", _FIRST_STEP, argument], CNN_JAX_CACHE=str(cache))[0]

    def warm() -> float:
        seconds = run_python(["-c", _FIRST_STEP, argument], CNN_JAX_CACHE=str(cache))[0]
        row.figures.setdefault("seconds", []).append(seconds)
        return seconds

    context.measure(model, {"cold": cold, "ours": warm}, {"cold": row})


def to_first_step(model: str, batch: int, size: int, precision: str) -> None:
    """Builds a training run, makes one step and waits for it; called in a process of its own."""
    from cnn_jax.bench.ours import Ours, bench_config, synthetic_dataset
    from cnn_jax.train.cache import use_compilation_cache

    use_compilation_cache()
    config = bench_config(model, batch, precision=precision)
    Ours(config, synthetic_dataset(batch, (size, size, 3), 10), timed=False).losses(1)
