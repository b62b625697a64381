"""No damaged checkpoint is used silently: whatever happens to its files, the run ends right or says what is wrong."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from cnn_jax.config import load_config
from cnn_jax.data import Dataset
from cnn_jax.errors import CheckpointError, CnnJaxError, Preempted
from cnn_jax.train import train
from cnn_jax.train.checkpoint import Checkpoints
from tests.battery.harness import digest
from tests.toy import toy_config, toy_dataset

pytestmark = pytest.mark.slow


class Interrupted:
    """A toy run with checkpoints, not finished, and the end that it should come to."""

    def __init__(self, folder: Path):
        self.dataset: Dataset = toy_dataset()
        self.config = toy_config(checkpoint_every=3, eval_every=3)
        train(self.config, folder / "whole", dataset=self.dataset, progress=False)
        self.expected = digest(folder / "whole")
        self.workdir = folder / "half"
        shutil.copytree(folder / "whole", self.workdir)
        (self.workdir / "DONE").unlink()
        shutil.rmtree(max((self.workdir / "checkpoints").glob("[0-9]*")))

    def copy(self, target: Path) -> Path:
        """A fresh copy to hurt."""
        return Path(shutil.copytree(self.workdir, target))

    def resume(self, workdir: Path) -> None:
        """The same command again."""
        train(self.config, workdir, dataset=self.dataset, progress=False)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    return Interrupted(tmp_path_factory.mktemp("files"))


def _files(workdir: Path) -> dict[str, list[Path]]:
    """The files of the newest checkpoint by class: what it is called, or where it lies if it is called by a hash."""
    newest = max((workdir / "checkpoints").glob("[0-9]*"))
    found: dict[str, list[Path]] = {}
    for file in sorted(newest.rglob("*")):
        if file.is_file() and file.stat().st_size:
            kind = file.parent.name if len(file.name) > 24 else file.name
            found.setdefault(kind, []).append(file)
    return found


def _right_or_refused(interrupted: Interrupted, workdir: Path, caplog: pytest.LogCaptureFixture, harm: str) -> None:
    caplog.clear()
    try:
        interrupted.resume(workdir)
    except CnnJaxError as error:
        assert "\n" not in str(error), harm
        assert error.exit_status in (2, 4), (harm, error)
        return
    assert digest(workdir) == interrupted.expected, harm
    assert "E-CKPT-03" in caplog.text, f"{harm}: went unseen"


def test_flipped_bits_in_every_class_of_file(interrupted, repeats, tmp_path, caplog):
    kinds = sorted(_files(interrupted.workdir))
    assert "MANIFEST.json" in kinds
    for i in repeats(100, 2000):
        draw = random.Random(i)
        workdir = interrupted.copy(tmp_path / str(i))
        file = draw.choice(_files(workdir)[kinds[i % len(kinds)]])
        content = bytearray(file.read_bytes())
        where = draw.randrange(len(content))
        content[where] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        _right_or_refused(interrupted, workdir, caplog, f"bit of byte {where} of {file}")
        shutil.rmtree(workdir)


def _truncate(file: Path, draw: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content))])


def _zero(file: Path, draw: random.Random) -> None:
    file.write_bytes(b"\0" * file.stat().st_size)


def _delete(file: Path, draw: random.Random) -> None:
    file.unlink()


def _empty_step(file: Path, draw: random.Random) -> None:
    step = next(parent for parent in file.parents if parent.parent.name == "checkpoints")
    shutil.rmtree(step)
    step.mkdir()


@pytest.mark.parametrize("harm", [_truncate, _delete, _zero, _empty_step])
def test_truncated_deleted_zeroed_emptied(
    interrupted, repeats, tmp_path, caplog, harm: Callable[[Path, random.Random], Any]
):
    kinds = sorted(_files(interrupted.workdir))
    for i in repeats(8, 75):
        draw = random.Random(i)
        workdir = interrupted.copy(tmp_path / str(i))
        file = draw.choice(_files(workdir)[kinds[i % len(kinds)]])
        harm(file, draw)
        _right_or_refused(interrupted, workdir, caplog, f"{harm.__name__} of {file}")
        shutil.rmtree(workdir)


@pytest.mark.parametrize("name", ["config.json", "dataset.json", "metrics.jsonl", "environment.json"])
def test_other_files_of_a_workdir(interrupted, repeats, tmp_path, name):
    """They are rewritten, resumed or refused; the run itself never depends on them."""
    for i in repeats(4, 50):
        draw = random.Random(i)
        workdir = interrupted.copy(tmp_path / str(i))
        draw.choice([_truncate, _zero, _delete])(workdir / name, draw)
        try:
            interrupted.resume(workdir)
        except CnnJaxError as error:
            assert name in str(error)
            assert "\n" not in str(error)
            assert error.exit_status in (2, 4)
        shutil.rmtree(workdir)


def test_resuming_at_every_step(interrupted, repeats, tmp_path):
    """Stopped at each step of twenty, then at two or three steps of one run."""
    config = load_config(interrupted.workdir / "config.json", ["total_steps=20"])

    def run(workdir: Path, stop_at: int | None = None) -> None:
        train(config, workdir, dataset=interrupted.dataset, progress=False, stop_at=stop_at)

    run(tmp_path / "whole")
    expected = digest(tmp_path / "whole")
    for i in repeats(20, 200):
        draw = random.Random(i)
        stops = [i + 1] if i < 19 else sorted(draw.sample(range(1, 20), draw.choice((2, 3))))
        workdir = tmp_path / str(i)
        for stop in stops:
            with pytest.raises(Preempted):
                run(workdir, stop)
        run(workdir)
        assert digest(workdir) == expected, stops
        shutil.rmtree(workdir)


def _other_shape(name: str, leaf: jax.Array) -> dict[str, Any]:
    return {name: jnp.zeros((*leaf.shape, 2), leaf.dtype)}


def _other_dtype(name: str, leaf: jax.Array) -> dict[str, Any]:
    return {name: leaf.astype(jnp.bfloat16)}


def _missing(name: str, leaf: jax.Array) -> dict[str, Any]:
    return {}


def _extra(name: str, leaf: jax.Array) -> dict[str, Any]:
    return {name: leaf, f"{name}_too": leaf}


@pytest.mark.parametrize("part", ["params", "model_state", "opt_state"])
@pytest.mark.parametrize("change", [_other_shape, _other_dtype, _missing, _extra])
def test_a_state_that_does_not_fit_is_refused_by_leaf(tmp_path, part, change):
    """The leaf, what it is in the checkpoint and what it is here."""
    layer = {"scale": jnp.ones(3), "kernel": jnp.ones((2, 3))}
    state = {"params": layer, "model_state": layer, "opt_state": layer}
    checkpoints = Checkpoints(tmp_path / "checkpoints", lambda a, b: False)
    checkpoints.save(7, state, {})
    like = state | {part: {"scale": layer["scale"], **change("kernel", layer["kernel"])}}
    there, here = {
        _other_shape: ("float32[2, 3]", "float32[2, 3, 2]"),
        _other_dtype: ("float32[2, 3]", "bfloat16[2, 3]"),
        _missing: ("float32[2, 3]", "absent"),
        _extra: ("absent", "float32[2, 3]"),
    }[change]
    name = f"{part}.kernel{'_too' if change is _extra else ''}"
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore("latest", like)
    there = there if there == "absent" else f"{there} in the"
    assert f"{name} is {there}" in str(caught.value)
    assert f"{here} here" in str(caught.value)
    assert "\n" not in str(caught.value)
