"""`import` and `export` as a user meets them: a file of weights becomes a run, and a run a file."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import cnn_jax
from cnn_jax.main import main
from cnn_jax.train.transfer import start_from
from cnn_jax.weights import export_weights, read_metadata, read_safetensors, read_tensors, write_safetensors
from tests.weights.test_names import assert_same, random_variables

NAME = "resnet:18,stage_sizes=(1,1,1,1),width=0.0625,num_classes=3"
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def sensible(variables: dict) -> dict:
    """Random variables whose variances are positive."""
    return jax.tree.map_with_path(lambda path, x: np.abs(x) + 0.5 if "'var'" in str(path[-1]) else 0.2 * x, variables)


@pytest.fixture(scope="module")
def variables():
    return sensible(random_variables(NAME))


@pytest.fixture(scope="module")
def file(tmp_path_factory, variables):
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    write_safetensors(path, export_weights(NAME, variables), {"format": "pt"})
    return path


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, file):
    path = tmp_path_factory.mktemp("runs") / "resnet18"
    assert main(["import", str(file), f"--model={NAME}", "--source=torchvision", f"--workdir={path}"]) == 0
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 3)):
        for name in ("ant", "bee", "cat"):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{n}.png")
    return root


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


def test_an_imported_network_predicts_from_images(workdir, variables):
    run = cnn_jax.load(workdir)
    assert (run.step, run.spec.image_shape, run.spec.classes) == (0, (224, 224, 3), ("0", "1", "2"))
    assert_same(jax.tree.map(np.asarray, run.variables), variables)
    assert run.history.empty
    x = images(1, 224, 224, 3)
    seen = ((x / 255 - IMAGENET[0]) / IMAGENET[1]).astype(np.float32)
    logits, _ = cnn_jax.create(NAME).apply(variables, jnp.asarray(seen))
    np.testing.assert_allclose(run.predict(x), jax.nn.softmax(logits), rtol=1e-4, atol=1e-6)


def test_import_again_makes_the_same(workdir, file, capsys):
    before = (workdir / "config.json").read_text()
    arguments = ["import", str(file), f"--model={NAME}", "--source=torchvision", f"--workdir={workdir}", "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == NAME
    assert result["step"] == 0
    assert len(result["sha256"]) == 64
    assert (workdir / "config.json").read_text() == before


def test_evaluation_on_a_folder(tmp_path, file, folder, capsys):
    arguments = ["import", str(file), f"--model={NAME}", "--source=torchvision", f"--workdir={tmp_path / 'w'}"]
    assert main([*arguments, f"--config.data=folder:{folder}"]) == 0
    capsys.readouterr()
    assert main(["eval", f"--workdir={tmp_path / 'w'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 9
    spec = cnn_jax.load(tmp_path / "w").spec
    assert spec.classes == ("ant", "bee", "cat")
    np.testing.assert_allclose(spec.mean, IMAGENET[0])


def test_export_and_back(tmp_path, workdir, file, variables):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    assert main(["export", f"--workdir={workdir}", "--format=safetensors", f"--output={ours}"]) == 0
    assert main(["export", f"--workdir={workdir}", f"--output={theirs}", "--names=torchvision"]) == 0
    assert_same(read_safetensors(theirs), read_safetensors(file))
    assert read_metadata(theirs)["format"] == "pt"
    assert main(["import", str(ours), "--source=cnn_jax", f"--workdir={tmp_path / 'again'}"]) == 0
    for name in ("config.json", "dataset.json"):
        assert (tmp_path / "again" / name).read_text() == (workdir / name).read_text()
    assert_same(jax.tree.map(np.asarray, cnn_jax.load(tmp_path / "again").variables), variables)


def test_training_starts_from_an_imported_network(workdir, variables):
    """What `config.init_from` reads; the head is new for other classes."""
    new = random_variables(NAME.replace("=3", "=7"))
    started, transfer = start_from(new, 7, str(workdir), ("*",))
    assert set(transfer.new) == {"params/fc/kernel", "params/fc/bias"}
    assert not transfer.skipped
    kernel = variables["params"]["conv3_1"]["conv1"]["kernel"]
    np.testing.assert_array_equal(started["params"]["conv3_1"]["conv1"]["kernel"], kernel)


@pytest.mark.slow
def test_keras_resnets_were_trained_on_bgr(tmp_path):
    name = "resnet:50-v1,stage_sizes=(1,1,1,1),bottleneck=true,width=0.0625,num_classes=3"
    variables = sensible(random_variables(name))
    write_safetensors(tmp_path / "k.safetensors", export_weights(name, variables, "keras"))
    arguments = ["import", str(tmp_path / "k.safetensors"), f"--model={name}", "--source=keras"]
    assert main([*arguments, "--input=64,64,3", f"--workdir={tmp_path / 'w'}"]) == 0
    x = images(1, 64, 64, 3)
    seen = (x[..., ::-1] - np.array([103.939, 116.779, 123.68])).astype(np.float32)
    logits, _ = cnn_jax.create(name).apply(variables, jnp.asarray(seen))
    np.testing.assert_allclose(cnn_jax.load(tmp_path / "w").predict(x), jax.nn.softmax(logits), rtol=1e-3, atol=1e-5)


def test_files_keep_what_they_are_given(tmp_path):
    """Views as well as arrays: the library writes memory as it lies."""
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "n": np.zeros((), np.int64)}
    write_safetensors(tmp_path / "x.safetensors", tensors, {"key": "value"})
    assert_same(read_tensors(tmp_path / "x.safetensors"), tensors)
    assert read_metadata(tmp_path / "x.safetensors") == {"key": "value"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["import", "{file}", "--source=torchvision", "--workdir={tmp}/w"], 2, "--model=NAME"),
        (["import", "{file}", "--source=caffe", "--workdir={tmp}/w"], 2, "invalid choice"),
        (["import", "{tmp}/x.pth", "--source=timm", "--model={name}", "--workdir={tmp}/w"], 3, "x.pth is not there"),
        (["import", "{folder}", "--source=timm", "--model={name}", "--workdir={tmp}/w"], 3, "none of .safetensors"),
        (["import", "{broken}", "--source=timm", "--model={name}", "--workdir={tmp}/w"], 3, "no whole safetensors"),
        (
            ["import", "{file}", "--source=timm", "--model={seven}", "--workdir={tmp}/w"],
            3,
            "fc.bias [3], here [7]",
        ),
        (["import", "{file}", "--source=timm", "--model=lenet", "--workdir={tmp}/w"], 2, "timm has no LeNet"),
        (["import", "{file}", "--source=keras", "--model={name}", "--workdir={tmp}/w"], 2, "strides_in_1x1"),
        (["import", "{file}", "--source=cnn_jax", "--workdir={tmp}/w"], 3, "not written by cnn-jax export"),
        (["import", "{file}", "--source=cnn_jax", "--model={name}", "--workdir={tmp}/w"], 2, "alone"),
        (
            ["import", "{file}", "--source=timm", "--model={name}", "--workdir={tmp}/w", "--classes={tmp}/c"],
            3,
            "cannot be read",
        ),
        (
            ["import", "{file}", "--source=timm", "--model={name}", "--workdir={tmp}/w", "--classes={broken}"],
            2,
            "3 classes apart, not 1",
        ),
        (
            ["import", "{file}", "--source=timm", "--model={name}", "--workdir={tmp}/w", "--mean=1,2"],
            2,
            "one of each per channel",
        ),
        (["import", "{file}", "--source=timm", "--model={name},norm=none", "--workdir={run}"], 2, "norm is 'none'"),
        (["eval", "--workdir={run}"], 2, "imported without data"),
        (["export", "--workdir={run}", "--output={tmp}/no/x.safetensors"], 2, "there is no directory"),
        (["export", "--workdir={run}", "--output={tmp}/x.safetensors", "--names=keras"], 2, "strides_in_1x1"),
        (["export", "--workdir={tmp}/none", "--output={tmp}/x.safetensors"], 4, "{tmp}/none"),
    ],
)
def test_bad_input_is_one_line(arguments, status, words, file, workdir, folder, tmp_path_factory, tmp_path, capsys):
    broken = tmp_path_factory.mktemp("broken") / "x.safetensors"
    broken.write_bytes(b"half a file")
    names = {"file": file, "run": workdir, "folder": folder, "tmp": tmp_path, "name": NAME, "broken": broken}
    names["seven"] = NAME.replace("=3", "=7")
    assert main([argument.format(**names) for argument in arguments]) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1, output.err
    assert words.format(**names) in output.err
    assert not list(tmp_path.iterdir()), "a refused command left something behind"
