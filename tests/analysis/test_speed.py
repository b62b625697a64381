"""How long a user waits, in seconds of processor time: other work on the machine does not count."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

from cnn_jax import analysis
from cnn_jax.analysis import Cell


def test_a_table_from_a_cold_start_takes_under_four_seconds():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "cnn_jax", "show", "vgg:D", "--json"]
    environment = {**os.environ, "XLA_FLAGS": ""}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(shown.stdout)["total"]["params"] == 138_357_544
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4


def test_time_grows_with_depth_and_no_faster():
    """1,001 layers take seconds only so; three times the depth stands for them here."""
    seconds = []
    for name in ("preact_cifar:56", "preact_cifar:164"):
        start = time.process_time()
        table = analysis.show_named(name)
        assert str(table)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 6 * seconds[0]


def test_cells_of_equal_geometry_are_traced_once(monkeypatch):
    from cnn_jax.analysis import legality

    traced = []
    shapes = legality.shapes
    monkeypatch.setattr(legality, "shapes", lambda model, shape: traced.append(model) or shapes(model, shape))
    cells = [Cell(f"{seed} {k}", f"lenet:small,kernel_size={k}") for seed in range(50) for k in (3, 4, 5, 6)]
    assert analysis.check(cells) == []
    assert len(traced) == 4
