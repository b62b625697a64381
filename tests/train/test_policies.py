"""What stops a run, and what is checked before it begins: divergence, memory, disk, early stopping."""

from __future__ import annotations

import collections
import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import CheckpointError, ConfigError, DivergedError
from cnn_jax.tasks import Task
from cnn_jax.train import preflight as preflight_module
from cnn_jax.train.build import DataSpec, build
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.loop import train
from cnn_jax.train.memory import out_of_memory, out_of_memory_named
from cnn_jax.train.metrics import read_metrics
from cnn_jax.train.preflight import preflight, try_checkpoint
from cnn_jax.train.progress import Silence
from tests.toy import toy_config, toy_dataset

NET = "lenet:small,norm=batch,features=(2),kernel_size=3,head_features=(4)"


@pytest.fixture(scope="module")
def train_only():
    """No evaluation has to be compiled."""
    toy = toy_dataset()
    return dataclasses.replace(toy, splits={"train": toy.splits["train"]})


@pytest.fixture(scope="module")
def dataset():
    return toy_dataset()


def poisoned(task: Task, where: str) -> Task:
    """The task, with a NaN put in on the way."""

    def loss(variables, batch, key):
        if where == "gradient":  # the loss stays finite: sqrt has no slope at 0
            zero = sum(jnp.sum(p) for p in jax.tree.leaves(variables["params"])) * 0
            value, aux = task.loss(variables, batch, key)
            return value + jnp.sqrt(zero), aux
        value, (model_state, metrics) = task.loss(variables, batch, key)
        if where == "loss":
            return value * jnp.nan, (model_state, {**metrics, "loss": value * jnp.nan})
        return value, (jax.tree.map(lambda s: s / 0, model_state), metrics)

    return task._replace(loss=loss)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("loss", r"loss is nan at step 1 \(learning rate 0\.05\)"),
        ("gradient", r"grad_norm is nan at step 1 "),
        ("statistics", r"model_state\.batch_stats\.\S+ is not finite \(and 1 more arrays\) at step 1 "),
    ],
)
def test_a_nan_is_named_and_nothing_of_it_is_saved(where, words, train_only, tmp_path, monkeypatch):
    honest = build.__globals__["classify"]
    monkeypatch.setitem(build.__globals__, "classify", lambda *args, **keys: poisoned(honest(*args, **keys), where))
    # A program of its own for each.
    config = toy_config(model__name=NET, aux_weight=0.125 + len(where), checkpoint_every=1, augment=())
    with pytest.raises(DivergedError, match=words + r".*no checkpoint was written yet") as stopped:
        train(config, tmp_path / "run", dataset=train_only, progress=False)
    assert stopped.value.exit_status == 5
    assert not list((tmp_path / "run" / "checkpoints").glob("[0-9]*"))


XLA_CPU = "RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes."
XLA_GPU = (
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12.50GiB.\n[tf-allocator-allocation-error='']\n more"
)


@pytest.mark.parametrize(
    ("message", "keys", "words"),
    [
        (XLA_CPU, {}, "allocating 68719476736 bytes: lower config.batch_size (now 32), or set config.accumulate=2"),
        (
            XLA_GPU,
            {"accumulate": 4, "precision": "bfloat16"},
            "12.50GiB: lower config.batch_size (now 32), or set config.accumulate=8 for the same result in parts",
        ),
        ("RESOURCE_EXHAUSTED", {"batch_size": 1}, ": lower config.batch_size (now 1), or config.precision=bfloat16"),
    ],
)
def test_out_of_memory_in_one_line(message, keys, words):
    text = str(out_of_memory(message, toy_config(**keys)))
    assert words in text
    assert "\n" not in text
    assert text.startswith("E-CONF-107: out of memory on")


def test_only_running_out_of_memory_is_told_so():
    with pytest.raises(ConfigError, match="out of memory"), out_of_memory_named(toy_config()):
        raise jax.errors.JaxRuntimeError(XLA_GPU)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), out_of_memory_named(toy_config()):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_memory_is_refused_for_real():
    """XLA's own words, whatever they are in this version."""
    with pytest.raises(ConfigError, match=r"lower config\.batch_size"), out_of_memory_named(toy_config()):
        jax.block_until_ready(jax.jit(lambda: jnp.ones(2**44, jnp.int8))())


def test_early_stopping_says_why_it_ended(dataset, tmp_path):
    """A rate of almost nothing never improves: the first evaluation is the best, and two more end the run."""
    config = toy_config(
        early_stopping=2, total_steps=100, eval_every=2, optimizer__learning_rate=1e-30, schedule__name="constant"
    )
    done = train(config, tmp_path / "run", dataset=dataset, progress=False)
    assert done["step"] == 6
    assert done["best_step"] == 2
    assert done["ended"] == "early stopping: no better validation in 2 evaluations"
    assert json.loads((tmp_path / "run" / "DONE").read_text()) == done
    # The steps since the last line of training (log_every is 4) are logged at the end, once.
    logged = [line["step"] for line in read_metrics(tmp_path / "run") if line["split"] == "train"]
    assert logged == [4, 6]
    (tmp_path / "run" / "DONE").unlink()  # killed just before the end: started again, it ends there
    again = train(config, tmp_path / "run", dataset=dataset, progress=False)
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in done.items() if k != "seconds"}
    assert [line["step"] for line in read_metrics(tmp_path / "run") if line["split"] == "train"] == logged


def test_plateau_cuts_the_rate_of_a_run(dataset, tmp_path):
    heard = []

    class Ear(Silence):
        def note(self, text):
            heard.append(text)

    config = toy_config(
        schedule__name="plateau", schedule__patience=2, schedule__factor=0.5, total_steps=12, eval_every=2,
        log_every=2, optimizer__learning_rate=1e-30,
    )  # fmt: skip
    train(config, tmp_path / "run", dataset=dataset, progress=Ear())
    rates = [line["learning_rate"] for line in read_metrics(tmp_path / "run") if line["split"] == "train"]
    np.testing.assert_allclose(rates, [1e-30] * 3 + [0.5e-30] * 2 + [0.25e-30], rtol=1e-6)
    assert next(text for text in heard if "cut" in text) == "step 6: learning rate cut to 5e-31"


@pytest.mark.parametrize("key", ["schedule.name=plateau", "early_stopping"])
def test_watching_validation_needs_a_validation_split(key, dataset, tmp_path):
    name, _, value = key.partition("=")
    config = toy_config(**{name.replace(".", "__"): value or 3})
    spec = DataSpec.of(dataset)._replace(sizes={"train": 150, "test": 47})
    with pytest.raises(ConfigError, match=f"config.{key} watches the validation error"):
        build(config, spec)


def test_too_few_outputs_are_refused(dataset):
    with pytest.raises(ConfigError, match="has 2 outputs, toy 3 classes"):
        build(toy_config(model__num_classes=2), DataSpec.of(dataset))


Usage = collections.namedtuple("Usage", "total used free")


def test_preflight_measures(dataset, tmp_path):
    config, spec = toy_config(total_steps=30, accumulate=2), DataSpec.of(dataset)
    found = preflight(build(config, spec), config, spec, tmp_path / "not" / "yet")
    parameters = 12 * 12 * 3 * 8 + 8 + 8 * 3 + 3
    assert found.parameters == parameters
    assert (
        found.state_bytes == 2 * 4 * parameters + 4 + 4 + 8 + 4
    )  # momentum; step, the schedule's count, key, the learning rate
    assert found.data_bytes == (150 + 31 + 47) * (12 * 12 * 3 + 4)
    assert found.epochs == 30 * 32 / 150
    # The backward pass reads at least the images of one part as float32, and no more than some copies of them.
    assert 1 <= found.activation_bytes / (16 * 12 * 12 * 3 * 4) < 8
    whole = toy_config(total_steps=30)
    twice = preflight(build(whole, spec), whole, spec, tmp_path)
    assert 1.8 < twice.activation_bytes / found.activation_bytes < 2.2
    assert len(found.lines()) == 1


def test_a_full_disk_is_seen_before_anything_is_computed(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(CheckpointError, match=r"has 1 kB free and the checkpoints need .* \(4 of .* kB\)"):
        train(toy_config(), tmp_path / "run", dataset=dataset, progress=False)
    assert not (tmp_path / "run").exists()


def test_memory_that_cannot_do_is_seen_before_anything_is_computed(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight_module, "free_memory", lambda device: 1000)
    with pytest.raises(ConfigError, match="do not fit into the 1 kB free"):
        train(toy_config(), tmp_path / "run", dataset=dataset, progress=False)
    found = preflight_module.Preflight(1, 1.0, 1, 10, 10, 10_000, 1000, 1, 1)
    assert "may not fit into memory: lower config.batch_size" in found.lines()[1]


def test_the_rehearsal_of_a_checkpoint_leaves_nothing_and_finds_damage(dataset, tmp_path, monkeypatch):
    program = build(toy_config(), DataSpec.of(dataset))
    state = program.create_state(jnp.int32(0))
    checkpoints = Checkpoints(tmp_path / "checkpoints", lambda a, b: False)
    assert try_checkpoint(checkpoints, state) > 0
    assert list((tmp_path / "checkpoints").iterdir()) == []
    honest = Checkpoints.restore
    monkeypatch.setattr(Checkpoints, "restore", lambda *args: (jax.tree.map(jnp.zeros_like, honest(*args)[0]), None))
    with pytest.raises(CheckpointError, match="does not read back as written"):
        try_checkpoint(checkpoints, state.params)
    assert program.abstract_state.average is None
