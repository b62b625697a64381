"""`cnn-jax inspect` on a trained run: every method, its files, and one line for every fault."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from cnn_jax.inspect import METHODS
from cnn_jax.main import main

CLASSES = ("blue", "green", "red")
# What each method writes besides its picture and facts.json.
WRITES = {
    "filters": {"filters.npy", "statistics.csv"},
    "activations": {"activations.npy"},
    "deconvnet": {"top.csv", "reconstructions.npy"},
    "occlusion": {"probability.npy", "activation.npy", "projection.npy"},
    "stability": {"layers.png", "stability.csv"},
    "saliency": {"gradient.npy", "smooth.npy", "guided.npy", "integrated.npy"},
    "gradcam": {"gradcam.npy", "guided.npy"},
    "maximise": {"images.npy", "scores.npy", "units.csv"},
    "neighbours": {"neighbours.csv"},
    "effective_field": {"fields.npy", "numbers.csv"},
    "responses": {"responses.csv"},
    "dead": {"layers.csv", "filters.csv"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """16x16 images in three classes, each brighter in one channel."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 6)):
        for i, name in enumerate(reversed(CLASSES)):
            directory = root / split / name
            directory.mkdir(parents=True)
            for n in range(count):
                image = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8)
                image[..., i] += 90
                Image.fromarray(image).save(directory / f"{n}.png")
    return root


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory, folder):
    """Runs of a few steps: a LeNet with ReLU, and a linear classifier."""
    root, made = tmp_path_factory.mktemp("runs"), {}
    file = root / "config.py"
    file.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config(arg=''):\n"
        f"    return ConfigDict(dict(data='folder:{folder}', batch_size=16, total_steps=6, num_devices=1,\n"
        "        optimizer=dict(name='momentum', learning_rate=0.05),\n"
        "        model=dict(name='lenet:small', activation='relu', pooling='max') if arg == 'lenet'\n"
        "        else dict(name='linear')))\n"
    )
    for name in ("lenet", "linear"):
        made[name] = root / name
        assert main(["train", f"--config={file}:{name}", f"--workdir={made[name]}", "--json"]) == 0
    return made


@pytest.mark.parametrize("method", WRITES)
def test_every_method_writes_a_picture_and_its_numbers(method, workdirs, tmp_path, capsys):
    few = [] if method == "maximise" else ["--examples=9"] if method == "deconvnet" else ["--examples=2"]
    output = tmp_path / "new" / "folder"
    where = [f"--workdir={workdirs['lenet']}", f"--output={output}"]
    assert main(["inspect", f"--method={method}", *where, "--json", *few]) == 0
    said = json.loads(capsys.readouterr().out)
    written = {file.name for file in output.iterdir()}
    assert written == {f"{method}.png", "facts.json"} | WRITES[method]
    assert sorted(said["files"]) == sorted(str(output / name) for name in written)
    facts = json.loads((output / "facts.json").read_text())
    assert {**facts, "files": said["files"]} == said
    assert (facts["method"], facts["model"], facts["step"]) == (method, "lenet:small", 6)
    for name in written:
        if name.endswith(".png"):
            with Image.open(output / name) as picture:
                assert min(picture.size) > 150
                assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 8
        elif name.endswith(".npy"):
            assert np.isfinite(np.load(output / name)).all()
        elif name.endswith(".csv"):
            rows = list(csv.reader((output / name).read_text().splitlines()))
            assert len(rows) > 1
            assert len({len(row) for row in rows}) == 1


def test_every_method_of_the_table_is_tested():
    assert set(WRITES) | {"augment"} == set(METHODS)


def test_numbers_in_files_are_those_of_the_functions(workdirs, tmp_path, capsys):
    import cnn_jax
    from cnn_jax.inspect.activations import activations

    run, folder = cnn_jax.load(workdirs["lenet"]), tmp_path / "out"
    image = tmp_path / "one.png"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image)
    arguments = [f"--workdir={workdirs['lenet']}", "--tap=pool2", "--images", str(image), "--json"]
    assert main(["inspect", "--method=activations", f"--output={folder}", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == ["one.png"]
    found = activations(run, pixels[None], "pool2")
    np.testing.assert_allclose(np.load(folder / "activations.npy"), found, rtol=1e-6)
    # By hand: the pixels standardised as the run's task does it.
    mean, std = (np.asarray(v, np.float32) for v in (run.spec.mean, run.spec.std))
    _, taps = run.model.apply(run.variables, ((pixels / 255 - mean) / std)[None].astype(np.float32))
    np.testing.assert_allclose(found, taps["pool2"], rtol=1e-3, atol=1e-4)


def test_a_class_can_be_asked_for(workdirs, tmp_path, capsys):
    common = ["--class=green", f"--workdir={workdirs['lenet']}", "--json"]
    assert main(["inspect", "--method=gradcam", "--examples=2", f"--output={tmp_path}/a", *common]) == 0
    examples = json.loads(capsys.readouterr().out)["examples"]
    assert [row["target"] for row in examples] == ["green", "green"]
    assert [row["class"] for row in examples] == ["blue", "green"]
    assert main(["inspect", "--method=maximise", f"--output={tmp_path}/b", *common]) == 0
    assert [unit["name"] for unit in json.loads(capsys.readouterr().out)["units"]] == ["green"]


def test_all_leaves_out_what_does_not_suit(workdirs, tmp_path, capsys):
    arguments = ["inspect", "--method=all", f"--workdir={workdirs['linear']}", f"--output={tmp_path}/all"]
    assert main([*arguments, "--json"]) == 0
    told = {row["method"]: row for row in json.loads(capsys.readouterr().out)["methods"]}
    assert list(told) == list(METHODS)
    assert "E-CONF-131" in told["augment"]["left_out"]
    assert "E-CONF-236: Linear has no activation that can die" in told["dead"]["left_out"]
    for method in ("filters", "saliency", "maximise", "responses"):
        assert (tmp_path / "all" / method / f"{method}.png").exists()
    for method in ("gradcam", "occlusion", "activations", "deconvnet", "neighbours", "effective_field", "stability"):
        assert "E-CONF-233: Linear has no tap" in told[method]["left_out"]


def test_the_workdir_is_where_it_goes_by_default(workdirs, capsys):
    assert main(["inspect", "--method=filters", f"--workdir={workdirs['linear']}"]) == 0
    out = capsys.readouterr().out
    assert "filters of 16x16x3" in out
    assert str(workdirs["linear"] / "inspect" / "filters" / "filters.png") in out
    assert (workdirs["linear"] / "inspect" / "filters" / "filters.png").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--method=gradcam", "--config={run}/config.json"], 2, "E-CONF-230: --method=gradcam looks into a trained"),
        (["--method=all", "--config={run}/config.json"], 2, "E-CONF-230"),
        (["--method=filters", "--workdir={run}", "--tap=pool1"], 2, "E-CONF-231: --method=filters takes no --tap"),
        (["--method=maximise", "--workdir={run}", "--examples=2"], 2, "it takes --tap, --class"),
        (["--method=all", "--workdir={run}", "--class=red"], 2, "E-CONF-231: --method=all takes no --class"),
        (["--method=augment", "--config={run}/config.json", "--tap=pool1"], 2, "takes no --tap: it takes --examples"),
        (["--method=gradcam", "--workdir={run}", "--tap=conv9"], 2, "is no tap of this network: use one of pool1, "),
        (["--method=gradcam", "--workdir={run}", "--tap=fc1"], 2, "E-CONF-232: --tap=fc1 has no feature maps"),
        (["--method=saliency", "--workdir={run}", "--class=mauve"], 2, "E-CONF-234: --class=mauve is no class"),
        (["--method=saliency", "--workdir={run}", "--class=mauve"], 2, "use one of blue, green, red"),
        (["--method=maximise", "--workdir={run}", "--class=red", "--tap=pool1"], 2, "E-CONF-240: maximise takes"),
        (["--method=dead", "--workdir={run}", "--output={file}"], 2, "E-CONF-238: {file} is a file"),
        (["--method=dead", "--workdir={run}", "--examples=0"], 2, "E-CONF-133"),
        (["--method=saliency", "--workdir={run}", "--examples=2", "--images", "{file}"], 2, "E-CONF-241"),
        (["--method=saliency", "--workdir={run}", "--images", "{file}"], 3, "is not an image"),
        (["--method=saliency", "--workdir={run}", "--images", "{file}x"], 3, "{file}x"),
        (["--method=dead", "--workdir={file}.none"], 2, "config.json does not exist"),
        (["--method=see", "--workdir={run}"], 2, "invalid choice: 'see'"),
        (["--method=dead"], 2, "--config --workdir"),
    ],
)
def test_bad_input_is_one_line(arguments, status, words, workdirs, tmp_path, capsys):
    file = tmp_path / "text.txt"
    file.write_text("no image")
    names = {"run": workdirs["lenet"], "file": file}
    assert main(["inspect", *(argument.format(**names) for argument in arguments)]) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert words.format(**names) in output.err
    assert output.err.count("\n") == 1


def test_data_that_changed_is_named(workdirs, folder, tmp_path, capsys):
    stored = workdirs["lenet"] / "dataset.json"
    before = stored.read_text()
    try:
        stored.write_text(json.dumps({**json.loads(before), "fingerprint": "other"}))
        assert main(["inspect", "--method=dead", f"--workdir={workdirs['lenet']}", f"--output={tmp_path}"]) == 3
    finally:
        stored.write_text(before)
    assert "E-DATA-230" in capsys.readouterr().err
