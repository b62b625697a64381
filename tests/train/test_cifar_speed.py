"""The speed recipe: its numbers in our keys, its smoke form resumed, and a part of the real CIFAR-10 learned."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.config import load_config
from cnn_jax.data import Dataset, Split, load_dataset
from cnn_jax.evaluate.views import speedrun_logits
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.verify import verify_resume
from cnn_jax.train.whole import train_whole

CONFIG = Path(__file__).parents[2] / "configs" / "cifar_speed.py"
DATA = Path(__file__).parents[2].parent / "shared" / "data"
SPEC = DataSpec(
    "cifar10", tuple("abcdefghij"), (32, 32, 3), (0.5,) * 3, (0.25,) * 3, {"train": 50_000, "test": 10_000}, "",
    patches=tuple(map(tuple, np.eye(12).tolist())),
)  # fmt: skip


def test_rates_of_a_summed_loss_and_decays_are_those_of_airbench94_muon():
    optimizer, batch = load_config(CONFIG).optimizer, 2000
    rates = {name: factor * optimizer.learning_rate / batch for name, factor in optimizer.groups.items()}
    assert rates == pytest.approx({"whiten": 0.053, "*norm*": 0.053, "head": 0.67})
    # Torch's weight_decay of a group is wd / rate, its effect on a step rate * that: the same for all, 2e-6 a example.
    assert optimizer.learning_rate * optimizer.weight_decay == pytest.approx(2e-6 * batch)
    program = build(load_config(CONFIG, ["num_devices=1"]), SPEC)
    assert program.total_steps == 200
    assert float(program.learning_rate(0)) == pytest.approx(0.24)
    assert float(program.learning_rate(150)) == pytest.approx(0.06)


def test_the_recipe_with_nesterov_is_airbench94():
    config = load_config(f"{CONFIG}:sgd", ["num_devices=1"])
    kilostep = 1024 * (1 + 1 / (1 - 0.85))
    assert config.optimizer.learning_rate / 1024 == pytest.approx(11.5 / kilostep)
    assert config.optimizer.learning_rate * config.optimizer.weight_decay == pytest.approx(0.0153 * 1024 / kilostep)
    program = build(config, SPEC)
    assert program.total_steps == np.ceil(50_000 // 1024 * 9.9)
    rates = [float(program.learning_rate(step)) / config.optimizer.learning_rate for step in (0, 109, 476)]
    assert rates == pytest.approx([0.2, 1, 0.07])


@pytest.mark.slow
def test_smoke_form_resumes_bit_for_bit():
    config = load_config(f"{CONFIG}:smoke", ["num_devices=1", "model.features=(16,16,16)", "batch_size=20"])
    dataset = load_dataset("shapes:tiny", validation=0.0)
    small = Dataset(
        dataset.name,
        dataset.classes,
        {name: split.take(np.arange(0, len(split), 10)) for name, split in dataset.splits.items()},
        "part",
    )
    verification = verify_resume(config, steps=6, stops=(2,), dataset=small)
    assert [str(difference) for difference in verification.differences] == []


@pytest.fixture
def cifar(tmp_path):
    subprocess.run([str(DATA / "unpack"), "cifar10-jpeg", str(tmp_path)], check=True, capture_output=True)
    return tmp_path / "cifar10-jpeg"


def part_of(folder: Path, **counts: int) -> Dataset:
    """The first images of each class, so many of each in every split."""

    def split(name: str, count: int) -> Split:
        classes = sorted(path for path in (folder / name).iterdir() if path.is_dir())
        files = [file for path in classes for file in sorted(path.iterdir())[:count]]
        image = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        return Split(image, np.repeat(np.arange(10, dtype=np.int32), count))

    return Dataset("part", SPEC.classes, {name: split(name, count) for name, count in counts.items()}, "")


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "unpack").exists(), reason="no CIFAR-10 beside the repository")
def test_a_narrow_network_learns_a_part_of_cifar_in_thirty_steps(cifar):
    """30 steps of 100 of 1,000 images; chance is 0.1."""
    config = load_config(f"{CONFIG}:smoke", ["num_devices=1", "total_steps=30"])
    runs = train_whole(config, part_of(cifar, train=100, test=30), [0], protocol=speedrun_logits)
    assert runs.accuracies[0] > 0.3
