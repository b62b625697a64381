"""What tests of sweeps elsewhere have in common."""

from __future__ import annotations

import importlib.util

import pytest

from cnn_jax.sweep.slurm_queue import load_submitit

SIX_CELLS = """
from ml_collections import ConfigDict

def get_config(arg=""):
    return ConfigDict(dict(data="shapes:tiny", model=dict(name="linear"), batch_size=32, total_steps=4, num_devices=1))

def sweep(add):
    for batch_size in (16, 32):
        for seed in range(3):
            add(seed=seed, batch_size=batch_size)
"""


@pytest.fixture
def six_cells(tmp_path):
    file = tmp_path / "experiment.py"
    file.write_text(SIX_CELLS)
    return file


@pytest.fixture
def submitit():
    if importlib.util.find_spec("submitit") is None:
        pytest.skip("submitit is not installed")
    return load_submitit()
