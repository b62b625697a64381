"""Checkpoints: whole or not there, verified before use, never silently wrong."""

from __future__ import annotations

import json
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import CheckpointError
from cnn_jax.train.checkpoint import Checkpoints
from cnn_jax.train.judge import better as by_validation


def better(a, b):
    return a["accuracy"] > b["accuracy"]


def state(value: float):
    return {
        "params": {"inception_4a/reduce": {"kernel": jnp.full((3, 2), value, jnp.float32)}},
        "opt_state": (jnp.zeros((), jnp.int32), {"trace": jnp.arange(4.0)}),
        "key": jax.random.key(7),
    }


@pytest.fixture
def checkpoints(tmp_path):
    made = Checkpoints(tmp_path / "checkpoints", better)
    for step, accuracy in ((10, 0.5), (20, 0.9), (30, 0.7), (40, 0.8)):
        made.save(step, state(step), {"accuracy": accuracy})
    return made


def kernel(checkpoints, step):
    restored, _ = checkpoints.restore(step, jax.eval_shape(lambda: state(0.0)))
    return restored["params"]["inception_4a/reduce"]["kernel"]


def test_best_and_latest_are_kept(checkpoints):
    assert [c.step for c in checkpoints.all()] == [20, 30, 40]
    assert checkpoints.best().step == 20
    for step, value in (("best", 20), ("latest", 40), (30, 30), ("30", 30)):
        np.testing.assert_array_equal(kernel(checkpoints, step), np.full((3, 2), value, np.float32))


def test_everything_comes_back(checkpoints):
    restored, checkpoint = checkpoints.restore("latest", jax.eval_shape(lambda: state(0.0)))
    assert checkpoint.meta == {"accuracy": 0.8}
    assert jax.tree.structure(restored) == jax.tree.structure(state(0.0))
    assert restored["key"] == jax.random.key(7)
    assert restored["opt_state"][0].dtype == jnp.int32


def test_a_step_that_is_not_there(checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match="use best, latest or 20, 30, 40"):
        checkpoints.restore(25, state(0.0))
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        Checkpoints(tmp_path / "elsewhere", better).restore("best", state(0.0))


def test_no_flipped_bit_goes_unseen(checkpoints, caplog):
    """A flip in every file: the latest falls back to the step before, loudly; a named step refuses."""
    step = checkpoints.directory / "00000040"
    files = [path for path in sorted(step.rglob("*")) if path.is_file()]
    assert len(files) > 3
    for file in files:
        sound = file.read_bytes()
        middle = len(sound) // 2
        file.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :] if sound else b"x")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            np.testing.assert_array_equal(kernel(checkpoints, "latest"), np.full((3, 2), 30, np.float32))
        assert "step 40" in caplog.text or "step 00000040" in caplog.text
        with pytest.raises(CheckpointError, match=r"damaged|no checkpoint of step 40"):
            kernel(checkpoints, 40)
        file.write_bytes(sound)
    np.testing.assert_array_equal(kernel(checkpoints, "latest"), np.full((3, 2), 40, np.float32))


def test_no_flip_in_a_manifest_goes_unseen(checkpoints, caplog):
    """Metrics and hashes are in it: a manifest that reads as JSON is still compared with its own digest."""
    file = checkpoints.directory / "00000040" / "MANIFEST.json"
    sound, whole = file.read_bytes(), json.loads(file.read_text())
    rng = np.random.default_rng(0)
    unseen = 0
    for position in rng.choice(len(sound), 150, replace=False):
        flipped = bytearray(sound)
        flipped[position] ^= 1 << rng.integers(8)
        file.write_bytes(flipped)
        with caplog.at_level(logging.CRITICAL):
            found = [c for c in checkpoints.all() if c.step == 40]
        unseen += bool(found)
        assert not found or (found[0].meta, found[0].files, found[0].leaves) == (
            whole["meta"], whole["files"], whole["leaves"]
        )  # fmt: skip
    assert unseen < 5


def test_without_validation_the_latest_is_the_best(tmp_path):
    made = Checkpoints(tmp_path / "checkpoints", by_validation)
    measured = {"accuracy": 0.5, "loss": 1.0}
    for step, validation in ((10, None), (20, measured), (30, None), (40, measured)):
        made.save(step, state(step), {"validation": validation})
        best = made.best()
        assert best is not None
        assert best.step == {10: 10, 20: 20, 30: 20, 40: 20}[step]
    none = Checkpoints(tmp_path / "none", by_validation)
    for step in (10, 20):
        none.save(step, state(step), {"validation": None})
    assert [c.step for c in none.choose("best")] == [20, 10]


def test_a_damaged_best_gives_way_to_the_next_best_loudly(checkpoints, caplog):
    for file in (checkpoints.directory / "00000020").rglob("manifest.ocdbt"):
        file.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(kernel(checkpoints, "best"), np.full((3, 2), 40, np.float32))
    assert "step 20" in caplog.text
    assert "using step 40" in caplog.text
    with pytest.raises(CheckpointError, match=r"step 20 .* is damaged .*: there are also 30, 40, best and latest"):
        kernel(checkpoints, 20)


def test_a_run_that_fell_back_sets_the_damaged_aside(checkpoints):
    checkpoints.set_aside(after=30)
    assert [c.step for c in checkpoints.all()] == [20, 30]
    assert (checkpoints.directory / "damaged-00000040").is_dir()
    checkpoints.save(40, state(41), {"accuracy": 0.1})
    np.testing.assert_array_equal(kernel(checkpoints, "latest"), np.full((3, 2), 41, np.float32))


def test_variables_alone_are_read_whatever_the_optimiser(checkpoints):
    variables, checkpoint = checkpoints.restore_variables("latest")
    assert checkpoint.step == 40
    assert set(variables) == {"params"}
    np.testing.assert_array_equal(variables["params"]["inception_4a/reduce"]["kernel"], np.full((3, 2), 40, np.float32))
    like = {"params": {"inception_4a/reduce": {"kernel": jnp.zeros((3, 3))}}}
    with pytest.raises(CheckpointError, match=r"float32\[3, 2\] in the checkpoint and float32\[3, 3\] here"):
        checkpoints.restore_variables("latest", like)


@pytest.mark.parametrize("harm", ["empty directory", "no manifest", "half a manifest", "missing file"])
def test_half_a_checkpoint_is_not_the_latest(checkpoints, harm, caplog):
    step = checkpoints.directory / "00000040"
    if harm == "empty directory":
        shutil.rmtree(step)
        step.mkdir()
    elif harm == "no manifest":
        (step / "MANIFEST.json").unlink()
    elif harm == "half a manifest":
        (step / "MANIFEST.json").write_text((step / "MANIFEST.json").read_text()[:50])
    else:
        next(path for path in step.rglob("manifest.ocdbt")).unlink()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(kernel(checkpoints, "latest"), np.full((3, 2), 30, np.float32))
    assert "E-CKPT-03" in caplog.text


def test_nothing_sound_is_an_error(checkpoints):
    for step in checkpoints.directory.iterdir():
        for file in step.rglob("manifest.ocdbt"):
            file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="nothing sound is left"):
        kernel(checkpoints, "latest")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s | {"extra": jnp.zeros(2)}, r"extra is absent in the checkpoint and float32\[2\] here"),
        (
            lambda s: {k: v for k, v in s.items() if k != "key"},
            r"key is key<fry>\[\] in the checkpoint and absent here",
        ),
        (lambda s: s | {"opt_state": (jnp.zeros(()), s["opt_state"][1])}, r"int32\[\] in the checkpoint and float32"),
        (lambda s: s | {"params": {"inception_4a/reduce": {"kernel": jnp.zeros((3, 3))}}}, r"float32\[3, 3\] here"),
    ],
)
def test_a_state_of_another_structure_is_refused_by_leaf(checkpoints, change, words):
    with pytest.raises(CheckpointError, match=words):
        checkpoints.restore("latest", change(state(0.0)))


def test_a_save_that_fails_leaves_the_others(checkpoints, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cnn_jax.train.checkpoint._write_durably", full)
    with pytest.raises(CheckpointError, match=r"No space left on device .* MB needed, .* MB free"):
        checkpoints.save(50, state(50), {"accuracy": 1.0})
    assert [c.step for c in checkpoints.all()] == [20, 30, 40]
    assert not list(checkpoints.directory.glob(".partial*"))


def test_an_error_of_orbax_is_told_in_its_one_line(checkpoints, monkeypatch):
    def full(*args, **kwargs):
        logging.getLogger("absl").error("a thread's traceback")
        raise ValueError("RESOURCE_EXHAUSTED: Failed writing: 'd/f4ab'\nNo space left on device [os_error_code='28']")

    monkeypatch.setattr("cnn_jax.train.checkpoint.ocp.save", full)
    with pytest.raises(CheckpointError, match=r": No space left on device \(about .* MB needed, .* MB free\)"):
        checkpoints.save(50, state(50), {"accuracy": 1.0})
    assert [c.step for c in checkpoints.all()] == [20, 30, 40]


def test_manifest_names_every_file_and_leaf(checkpoints):
    step = checkpoints.directory / "00000040"
    manifest = json.loads((step / "MANIFEST.json").read_text())
    on_disk = {str(p.relative_to(step)) for p in step.rglob("*") if p.is_file()} - {"MANIFEST.json"}
    assert set(manifest["files"]) == on_disk
    assert manifest["leaves"]["params.inception_4a/reduce.kernel"] == "float32[3, 2]"
