"""A streamed run is the device-resident run bit for bit, wherever it stopped; its memory is bounded."""

from __future__ import annotations

import tracemalloc

import jax
import numpy as np
import pytest
from PIL import Image

from cnn_jax.errors import CheckpointError, ConfigError, Preempted
from cnn_jax.evaluate import load
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.feed import TrainingFeed, host_bytes, steps_per_block
from cnn_jax.train.judge import better
from cnn_jax.train.loop import load_config_data, train
from cnn_jax.train.memory import decoded_limit
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.parallel import make_layout
from cnn_jax.train.verify import verify_resume
from tests.toy import CLASSES, toy_config, toy_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    split = toy_dataset(train=200, size=10).splits["train"]
    for i, (image, label) in enumerate(zip(np.asarray(split.image), split.label, strict=True)):
        (root / CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(image).save(root / CLASSES[label] / f"{i}.png")
    return root


def config_of(folder, **changes):
    """Augmentation, batch norm and dropout; evaluations; calls that are cut at the ends of blocks and epochs."""
    name = "lenet:small,norm=batch,dropout=0.5,features=(4),kernel_size=3,head_features=(16)"
    return toy_config(data=f"folder:{folder}", model__name=name, image_size=12, fit="pad", **changes)


def run(config, workdir, **arguments):
    train(config, workdir, dataset=load_config_data(config), progress=False, **arguments)


def bits(workdir):
    state = load(workdir, step="latest")
    lines = [{k: v for k, v in line.items() if k != "images_per_second"} for line in read_metrics(workdir)]
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state.variables)], lines


@pytest.fixture(scope="module")
def on_device(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("device") / "run"
    run(config_of(folder, input="device"), workdir)
    return bits(workdir)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_streamed_run_is_the_device_resident_run(folder, on_device, tmp_path, workers):
    """Straight it would be enough; it is stopped in the middle of an epoch and of a block as well."""
    config = config_of(folder, input="stream", workers=workers)
    assert load_config_data(config).streamed
    with pytest.raises(Preempted, match="at step 7"):
        run(config, tmp_path / "run", stop_at=7)
    (meta,) = (c.meta["data"] for c in Checkpoints(tmp_path / "run" / "checkpoints", better).all() if c.step == 7)
    assert meta["position"] == 7 * 32
    assert len(meta["next"]) == 4
    run(config_of(folder, input="stream"), tmp_path / "run")  # other readers go on
    leaves, lines = bits(tmp_path / "run")
    assert leaves == on_device[0]
    assert lines == on_device[1]


def test_a_streamed_run_is_evaluated_from_its_workdir(folder, on_device, tmp_path):
    run(config_of(folder, input="stream"), tmp_path / "run")
    streamed = load(tmp_path / "run")
    final = on_device[1][-1]
    assert final["split"] == "test"
    assert {k: v for k, v in final.items() if k not in ("step", "split")} == streamed.evaluate("test")


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_several_devices_and_parts_are_fed_what_they_would_gather(folder, tmp_path, parallel):
    found = []
    for source in ("device", "stream"):
        config = config_of(folder, input=source, parallel=parallel, num_devices=4, accumulate=2, total_steps=6)
        run(config, tmp_path / source)
        found.append(bits(tmp_path / source))
    assert found[0] == found[1]


@pytest.mark.slow
def test_verify_resume_of_a_streamed_run(folder):
    """On two devices; with readers of its own, `tests/battery/test_verify.py`."""
    config = config_of(folder, input="stream", workers=0, parallel="pmap", num_devices=2)
    found = verify_resume(config, steps=8, stops=(3,))
    assert found.differences == []
    assert found.leaves > 10


def test_another_order_than_the_checkpoints_is_refused(folder):
    config = config_of(folder, input="stream")
    split = load_config_data(config).splits["train"]
    arguments = {"batch_size": 32, "parts": 1, "block_steps": 2, "steps": range(3, 9), "workers": 0}
    feed = TrainingFeed(split, make_layout("jit", 1, 32), jax.random.key(0), **arguments)
    feed.check(3, None)
    feed.check(3, feed.position(3))
    with pytest.raises(CheckpointError, match=r"step 3: the checkpoint goes on at example 96 with \[1, 2, 3, 4\]"):
        feed.check(3, {"position": 96, "next": [1, 2, 3, 4]})
    feed.close()
    with pytest.raises(ConfigError, match="threefry"):
        TrainingFeed(split, make_layout("jit", 1, 32), jax.random.key(0, impl="rbg"), **arguments)


def test_memory_stays_within_its_bound(folder):
    """Thousands of images pass through; the host holds blocks, and never more of them than it says."""
    config = toy_config(data=f"folder:{folder}", image_size=96, fit="resize", input="stream")
    split = load_config_data(config).splits["train"]
    batch_bytes, block_steps = 32 * 96 * 96 * 3, 4
    bound = host_bytes(batch_bytes, block_steps, workers=0)
    steps = range(60)
    arguments = {"batch_size": 32, "parts": 1, "block_steps": block_steps, "steps": steps, "workers": 0}
    feed = TrainingFeed(split, make_layout("jit", 1, 32), jax.random.key(0), **arguments)
    feed.at(0)
    tracemalloc.start()
    try:
        for step in steps:
            jax.block_until_ready(feed.at(step))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        feed.close()
    assert batch_bytes * block_steps < peak < bound * 1.05
    assert bound < len(steps) * batch_bytes / 4


def test_blocks_are_as_long_as_they_may():
    assert steps_per_block(50, 128, (32, 32, 3)) == 50
    assert steps_per_block(50, 256, (224, 224, 3)) == 1


def test_auto_asks_the_device(monkeypatch):
    monkeypatch.setattr("cnn_jax.train.memory.free_memory", lambda device: 1000)
    assert decoded_limit("auto") == 500
    assert decoded_limit("device") is None
    assert decoded_limit("stream") == 0
