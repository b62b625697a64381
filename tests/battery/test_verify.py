"""`cnn-jax verify-resume` on recipes that between them use everything that has a state or draws random numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.battery.conftest import FULL
from tests.battery.harness import CONFIG, Trial

pytestmark = pytest.mark.slow

RECIPES = {
    "plateau, EMA, accumulation, dropout": (
        "schedule.name=plateau",
        "schedule.patience=1",
        "schedule.factor=0.5",
        "average.name=ema",
        "accumulate=2",
        "early_stopping=30",
    ),
    "every augmentation, batch norm": (
        "augment=rotation,scale,translation,elastic,resized_crop,alternating_flip,pad_crop:2,brightness,contrast,"
        "saturation,hue,pca_colour,cutout:4,mixup,cutmix",
        "label_smoothing=0.1",
    ),
    "Grain by itself, Adam, Polyak average": (
        "data=folder:IMAGES",
        "input=stream",
        "workers=0",
        "optimizer.name=adamw",
        "optimizer.weight_decay=0.01",
        "average.name=polyak",
    ),
    "Grain with two workers, clipping": ("data=folder:IMAGES", "input=stream", "workers=2", "optimizer.clip_norm=1.0"),
    "pmap on two devices, batch norm, dropout": ("parallel=pmap", "num_devices=2", "accumulate=2"),
    "auxiliary losses, layers frozen, rates by group": (
        "model.name=googlenet:small,width=0.25,aux_heads=True,norm=batch",
        "freeze=conv1",
        "optimizer.groups.fc=10",
        "precision=bfloat16",
    ),
}


_COSTLY = "auxiliary losses, layers frozen, rates by group"  # a minute of compilation


@pytest.mark.parametrize("name", [name for name in RECIPES if FULL or name != _COSTLY])
def test_a_stopped_run_is_the_run_that_was_not(trial: Trial, repeats, tmp_path: Path, name: str):
    stops = len(repeats(1, 5))
    for label in "ab":
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(40):
            noise = np.random.default_rng(i).integers(0, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / "images" / label / f"{i}.png")
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    overrides = (f"--config.{change.replace('IMAGES', str(tmp_path / 'images'))}" for change in RECIPES[name])
    steps = 20 if FULL else 6
    ended = trial.run(
        "verify-resume",
        f"--config={config}",
        f"--steps={steps}",
        f"--stops={stops}",
        "--json",
        *overrides,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert ended.status == 0, ended.output
    found = json.loads(ended.output[ended.output.index("{") :])
    assert found["identical"]
    assert found["steps"] == steps
    assert len(found["stops"]) == stops
    assert found["leaves"] > 10
