"""The command line as a user meets it: one line for every fault, JSON alone on standard output."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax import main as main_module
from cnn_jax.commands import COMMANDS
from cnn_jax.commands.command import Command
from cnn_jax.main import main, split_overrides

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of 16x16 images in three classes, train and test."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 7)):
        for i, name in enumerate(("red", "green", "<b>blue</b>")):
            directory = root / split / name.replace("/", "_")
            directory.mkdir(parents=True)
            for n in range(count):
                image = rng.integers(0, 100, (16, 16, 3), dtype=np.uint8)
                image[:, :, i] += 80
                Image.fromarray(image).save(directory / f"{n}.png")
    return root


@pytest.fixture(scope="module")
def config(tmp_path_factory, folder):
    file = tmp_path_factory.mktemp("config") / "config.py"
    file.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config(arg=''):\n"
        f"    return ConfigDict(dict(data='folder:{folder}', model=dict(name='mlp:8'), batch_size=16,\n"
        "                           total_steps=8, log_every=4, num_devices=1))\n"
    )
    return file


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", f"--config={config}", f"--workdir={path}"]) == 0
    return path


def test_help_is_quick_and_lists_every_command():
    started = time.perf_counter()
    shown = subprocess.run([sys.executable, "-m", "cnn_jax", "--help"], capture_output=True, text=True, check=True)
    assert time.perf_counter() - started < 1
    assert all(command.name in shown.stdout for command in COMMANDS)


def test_overrides_in_both_forms():
    rest, overrides = split_overrides(["train", "--config=F", "--config.seed=3", "--config.model.width", "0.5"])
    assert rest == ["train", "--config=F"]
    assert overrides == ["seed=3", "model.width=0.5"]


def test_eval_counts_every_example(workdir, capsys):
    assert main(["eval", f"--workdir={workdir}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 21
    assert result["step"] == 8
    assert 0 <= result["accuracy"] <= 1


def test_train_again_reports_the_same(workdir, config, capsys):
    assert main(["train", f"--config={config}", f"--workdir={workdir}", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first == json.loads((workdir / "DONE").read_text())
    assert main(["train", f"--config={workdir / 'config.json'}", f"--workdir={workdir}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_predict(workdir, folder, capsys):
    images = sorted(str(path) for path in (folder / "test" / "red").iterdir())[:2]
    assert main(["predict", f"--workdir={workdir}", *images, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["image"] for answer in answers] == images
    for answer in answers:
        assert [row["label"] for row in answer["top5"]] != []
        assert sum(row["probability"] for row in answer["top5"]) == pytest.approx(1, abs=1e-5)
    assert main(["predict", f"--workdir={workdir}", images[0]]) == 0
    assert "%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "COMMAND"),
        (["fly"], 2, "invalid choice"),
        (["train"], 2, "--config"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--speed=9"], 2, "--speed=9"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--config.lerning_rate=1"], 2, "optimizer.learning_rate"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--config.optimizer.learning_rate=nan"], 2, "=nan"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--config.model.widht=1"], 2, "width"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--config.model.name=vgg:F"], 2, "A-LRN"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--config.model.name=vgg:D"], 2, "layer"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--config.data=folder:{tmp}/none"], 3, "{tmp}/none"),
        (["train", "--config={config}", "--workdir={tmp}/w", "--config.data=floder:x"], 2, "folder:"),
        (["train", "--config={tmp}/none.py", "--workdir={tmp}/w"], 2, "{tmp}/none.py does not exist"),
        (["train", "--config={config}", "--workdir={run}", "--config.seed=9"], 2, "seed: 9, not 0"),
        (["eval", "--workdir={tmp}/none"], 4, "{tmp}/none"),
        (["eval", "--workdir={run}", "--step=5"], 4, "no checkpoint of step 5"),
        (["eval", "--workdir={run}", "--config.seed=1"], 2, "takes no --config"),
        (["predict", "--workdir={run}", "{tmp}/none.png"], 3, "{tmp}/none.png"),
        (["predict", "--workdir={run}", "{config}"], 3, "is not an image"),
        (["show", "vgg:F"], 2, "A-LRN"),
        (["show", "vgg:D", "--input=many"], 2, "--input"),
        (["history", "--preset=huge"], 2, "smoke, laptop"),
        (["report", "--workdir={tmp}/none"], 4, "{tmp}/none"),
    ],
)
def test_bad_input_is_one_line(arguments, status, words, config, workdir, tmp_path, capsys):
    names = {"config": config, "tmp": tmp_path, "run": workdir}
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.format(**names) for argument in arguments]) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1, output.err
    assert words.format(**names) in output.err
    assert sorted(tmp_path.rglob("*")) == before, "a refused command left something behind"


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(Exception, match="does not exist"):
        main(["train", f"--config={tmp_path}/none.py", f"--workdir={tmp_path}/w", "--debug"])


def test_sigterm_in_a_destructor_is_not_lost(monkeypatch, capsys):
    """Where an exception leads nowhere, the command still ends with 75, and shows no traceback."""

    class Terminated:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def run(options, overrides):
        victim = Terminated()
        del victim
        time.sleep(20)

    before = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    monkeypatch.setattr(main_module, "COMMANDS", (Command("probe", "", lambda parser: None, run),))
    started = time.monotonic()
    assert main(["probe"]) == 75
    assert time.monotonic() - started < 10
    assert capsys.readouterr().err == "cnn-jax: E-STOP-05: stopped by SIGTERM; the same command starts again\n"
    assert (signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before
