"""Starting from another run's weights: what is loaded, what begins anew, what is refused."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config import load_config
from cnn_jax.data import Dataset, Split
from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.evaluate import load
from cnn_jax.train.loop import train
from cnn_jax.train.progress import Silence
from cnn_jax.train.transfer import split_source, start_from
from tests.toy import toy_config, toy_dataset

NET = "lenet:small,norm=batch,features=(2),kernel_size=3,head_features=(6)"


class Ear(Silence):
    def __init__(self):
        self.heard = []

    def note(self, text):
        self.heard.append(text)


def train_only() -> Dataset:
    """No evaluation has to be compiled."""
    toy = toy_dataset()
    return dataclasses.replace(toy, splits={"train": toy.splits["train"]})


def five_classes() -> Dataset:
    image, label = train_only().splits["train"].image, np.arange(150, dtype=np.int32) % 5
    return Dataset("five", ("a", "b", "c", "d", "e"), {"train": Split(image, label)}, "five")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("source") / "run"
    config = toy_config(model__name=NET, average__name="ema", total_steps=6, augment=())
    train(config, workdir, dataset=train_only(), progress=False)
    return workdir


def flat(variables):
    leaves, _ = jax.tree_util.tree_flatten_with_path(variables)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def test_the_head_is_new_and_frozen_layers_stay(source, tmp_path):
    """All but the classifier comes from the averaged weights of the source; what is frozen is theirs at the end."""
    ear = Ear()
    config = toy_config(
        model__name=NET, init_from=f"{source}:latest", freeze=("conv1*",), total_steps=5, checkpoint_every=5,
        optimizer__groups={"fc1": 0.0}, augment=(),
    )  # fmt: skip
    train(config, tmp_path / "run", dataset=five_classes(), progress=ear)
    theirs, ours = (flat(load(w, step="latest").variables) for w in (source, tmp_path / "run"))
    still = [path for path in ours if path.split("/")[1].startswith(("conv1", "fc1"))]
    assert any(path.startswith("batch_stats/conv1") for path in still)
    for path in still:
        np.testing.assert_array_equal(ours[path], theirs[path], err_msg=path)
    assert ours["params/fc2/kernel"].shape == (6, 5)
    (line,) = [text for text in ear.heard if text.startswith("from ")]
    loaded = len(theirs) - 2
    assert line == f"from {source}, step 6: {loaded} arrays loaded, 2 new: fc2, 0 skipped"
    stored = json.loads((tmp_path / "run" / "transfer.json").read_text())
    assert stored["new"] == dict.fromkeys(("params/fc2/bias", "params/fc2/kernel"), "3 classes in the source, 5 here")


def test_layers_can_be_chosen(source):
    variables = jax.tree.map(jnp.zeros_like, load(source).variables)
    found, transfer = start_from(variables, 3, str(source), ("conv1*",))
    assert str(transfer).endswith("4 new: fc1, fc2, 0 skipped")
    moved = {path.split("/")[1] for path, array in flat(found).items() if array.any()}
    assert all(layer.startswith("conv1") for layer in moved)
    assert set(transfer.new.values()) == {"not in config.init_layers"}


@pytest.mark.parametrize(
    ("keys", "error", "words"),
    [
        ({"init_from": "nowhere"}, ConfigError, "nowhere is no workdir"),
        ({"init_from": "{source}:7"}, CheckpointError, "no checkpoint of step 7"),
        (
            {"model__name": NET.replace("(6)", "(8)")},
            CheckpointError,
            r"params/fc1/bias is float32\[6\] in .* and float32\[8\] here",
        ),
        (
            {"model__name": "lenet:small,features=(1),head=gap", "init_layers": ("fc1",)},
            CheckpointError,
            "params/fc1/bias",
        ),
        ({"init_layers": ("conv7",)}, ConfigError, "config.init_layers has 'conv7', which names no parameter"),
        ({"freeze": ("conv7",)}, ConfigError, "config.freeze has 'conv7'.* the layers are conv1"),
    ],
)
def test_what_does_not_fit_is_refused(source, tmp_path, keys, error, words):
    keys = {"model__name": NET, "init_from": "{source}", "total_steps": 1} | keys
    keys["init_from"] = keys["init_from"].format(source=source)
    with pytest.raises(error, match=words):
        train(toy_config(**keys), tmp_path / "run", dataset=train_only(), progress=False)


def test_a_colon_in_the_name_of_a_workdir():
    assert split_source("runs/a:b") == (split_source("runs/a:b")[0], "best")
    assert str(split_source("runs/a:b")[0]) == "runs/a:b"
    assert split_source("runs/a:12")[1] == "12"
    assert split_source("runs/a:latest")[1] == "latest"


def test_groups_from_the_command_line(tmp_path):
    file = tmp_path / "config.py"
    file.write_text("def get_config(arg=''):\n    return {'total_steps': 1, 'optimizer': {'groups': {'fc*': 10}}}\n")
    config = load_config(file, ["--config.optimizer.groups.conv1/*=0.1"])
    assert config.optimizer.groups.to_dict() == {"fc*": 10, "conv1/*": 0.1}
    with pytest.raises(ConfigError, match=r"config\.optimizer\.groups\.conv1=-1\S* must be a factor"):
        load_config(file, ["optimizer.groups.conv1=-1"])
    with pytest.raises(ConfigError, match=r"set config.optimizer.groups.PATTERN=FACTOR"):
        load_config(file, ["optimizer.groups=0.1"])


def test_variables_are_read_whatever_the_optimiser(source):
    """`load` and transfer need no optimiser of the same kind."""
    run = load(source)
    assert jax.tree.structure(run.variables) == jax.tree.structure(
        jax.eval_shape(run._task.init, jax.random.key(jnp.int32(0)))
    )
