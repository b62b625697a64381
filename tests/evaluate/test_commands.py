"""`eval`, `compare` and `predict` as a user meets them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

import cnn_jax
from cnn_jax.data import load_dataset
from cnn_jax.evaluate import evaluate, examples
from cnn_jax.main import main
from tests.evaluate.workdirs import CLASSES, dataset, folder, workdir


def said(capsys, *arguments) -> dict:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, status: int, words: str, *arguments) -> None:
    assert main([str(argument) for argument in arguments]) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1, output.err
    assert words in output.err


def table(directory) -> list[dict[str, str]]:
    return list(csv.DictReader((directory / "predictions.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """The directories of three evaluations: two networks alike, one under another protocol."""
    root = tmp_path_factory.mktemp("written")
    for name, arguments in (
        ("a", [f"--workdir={trained[0]}", "--corruptions=contrast,shift"]),
        ("b", [f"--workdir={trained[1]}"]),
        ("flip", [f"--workdir={trained[0]}", "--protocol=flip"]),
    ):
        assert main(["eval", *arguments, f"--output={root / name}"]) == 0
    return root


def test_eval_writes_tables_and_figures(written, trained, images):
    document = json.loads((written / "a" / "evaluation.json").read_text())
    own = load_dataset(f"folder:{images}")
    run = cnn_jax.load(trained[0])
    assert document["n"] == len(own.splits["test"]) == 40
    assert document["accuracy"] == run.evaluate("test")["accuracy"]
    assert document["loss"] == pytest.approx(run.evaluate("test")["loss"], rel=1e-5)
    assert document["identity"]["data"] == own.fingerprint
    rows = table(written / "a")
    chances = run.predict(np.asarray(own.splits["test"].image))
    for i, row in enumerate(rows):
        assert int(row["index"]) == i
        assert row["class"] == row["name"].split("/")[1] == CLASSES[own.splits["test"].label[i]]
        assert int(row["prediction"]) == chances[i].argmax()
        assert float(row["probability"]) == pytest.approx(chances[i].max(), rel=1e-5)
    assert len(rows) == 40
    worst = document["worst"][0]
    assert worst["name"] == rows[worst["index"]]["name"]
    assert (images / worst["name"]).is_file()
    assert np.sum(document["confusion"]) == 40
    assert [len(rows) for rows in document["corruptions"].values()] == [5, 5]
    for figure in document["figures"]:
        with Image.open(written / "a" / figure) as picture:
            assert min(picture.size) > 300
    assert set(document["figures"]) == {"confusion.png", "reliability.png", "mistakes.png", "corruptions.png"}


def test_compare_pairs_the_answers(written, capsys):
    a, b = written / "a" / "evaluation.json", written / "b" / "evaluation.json"
    found = said(capsys, "compare", a, b)
    rows = [table(written / name) for name in "ab"]
    right = np.array([[int(row["right"]) for row in answers] for answers in rows])
    assert found["difference"] == pytest.approx(right[0].mean() - right[1].mean())
    assert found["paired"]["only_a"] == ((right[0] == 1) & (right[1] == 0)).sum()
    assert found["paired"]["n"] == 40
    assert main(["compare", str(a), str(b)]) == 0
    assert "McNemar" in capsys.readouterr().out


def test_compare_without_the_answers(written, trained, tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps(said(capsys, "eval", f"--workdir={trained[0]}")))
    found = said(capsys, "compare", tmp_path / "a.json", written / "b" / "evaluation.json")
    assert found["paired"] is None
    assert main(["compare", str(tmp_path / "a.json"), str(written / "b" / "evaluation.json")]) == 0
    assert "no interval" in capsys.readouterr().out


def test_compare_refuses_other_protocols(written, tmp_path, capsys):
    a, flip = written / "a" / "evaluation.json", written / "flip" / "evaluation.json"
    refused(capsys, 2, "protocol: single and flip", "compare", a, flip)
    assert said(capsys, "compare", a, flip, "--force")["same_identity"] is False
    refused(capsys, 3, "cannot be read", "compare", a, tmp_path / "none.json")
    (tmp_path / "x.json").write_text("[1, 2]")
    refused(capsys, 3, "is no evaluation", "compare", tmp_path / "x.json", a)
    (tmp_path / "y.json").write_text(a.read_text())
    (tmp_path / "predictions.csv").write_text("index,right\n0,1\n")
    refused(capsys, 3, "is damaged", "compare", a, tmp_path / "y.json")


def test_average_of_checkpoints(trained, capsys):
    runs = [cnn_jax.load(trained[0], step) for step in (2, 4, "average:2,4")]
    kernels = [np.asarray(run.variables["params"]["fc1"]["kernel"], np.float64) for run in runs]
    np.testing.assert_allclose(kernels[2], (kernels[0] + kernels[1]) / 2, rtol=1e-6)
    assert runs[2].step == 4
    assert said(capsys, "eval", f"--workdir={trained[0]}", "--step=average:2,4")["identity"]["step"] == "average:2,4"


def test_ensemble(trained, capsys):
    found = said(capsys, "eval", f"--workdir={trained[0]}", f"--ensemble={trained[0]},{trained[1]}")
    assert [member["workdir"] for member in found["members"]] == [str(path) for path in trained]
    runs = [cnn_jax.load(path) for path in trained]
    seen = examples(runs[0])
    apart = [evaluate([run], seen).answers.probability for run in runs]
    both = evaluate(runs, seen).answers
    np.testing.assert_allclose(both.probability, np.mean(apart, axis=0), atol=1e-6)
    assert found["accuracy"] == both.right.mean()
    assert runs[0].evaluate("test", protocol="flip")["n"] == 40


def test_data_left_in_its_files_gives_the_same_answers(trained, images):
    run, lazy = cnn_jax.load(trained[0]), load_dataset(f"folder:{images}", memory=0)
    assert lazy.streamed
    ours, theirs = (evaluate([run], examples(run, "all", dataset=dataset)) for dataset in (None, lazy))
    np.testing.assert_array_equal(ours.answers.log_probability, theirs.answers.log_probability)
    np.testing.assert_array_equal(ours.answers.label, theirs.answers.label)
    for i in (0, 37, 79):
        assert theirs.examples.name(i) == str(images / ours.examples.name(i))
        np.testing.assert_array_equal(theirs.examples.image(i), ours.examples.image(i))


def test_all_splits_once_each(trained, capsys):
    found = said(capsys, "eval", f"--workdir={trained[0]}", "--split=all")
    assert found["n"] == sum(cnn_jax.load(trained[0]).spec.sizes.values()) == 80


def test_other_data_has_its_classes_matched_by_name(trained, tmp_path, capsys):
    """Three of the classes, in another order on disk than their names have: labels follow the names."""
    other = dataset(20, test=60)
    folder(tmp_path / "other", other, names=("gnu", "ant", "dog"))
    found = said(capsys, "eval", f"--workdir={trained[0]}", f"--data=folder:{tmp_path / 'other'}")
    assert found["classes"] == {"known": 7, "in_data": 3}
    run, data = cnn_jax.load(trained[0]), load_dataset(f"folder:{tmp_path / 'other'}", validation=0)
    assert data.classes == ("ant", "dog", "gnu")
    label = np.array([0, 3, 6])[data.splits["test"].label]
    predicted = run.predict(np.asarray(data.splits["test"].image)).argmax(1)
    assert found["accuracy"] == pytest.approx((predicted == label).mean())
    assert main(["eval", f"--workdir={trained[0]}", f"--data=folder:{tmp_path / 'other'}"]) == 0
    assert "3 of the 7 classes" in capsys.readouterr().out


def test_other_sizes_and_modes(trained, tmp_path, capsys):
    run, grey = cnn_jax.load(trained[0]), dataset(14, 1)
    folder(tmp_path / "grey", grey)
    data = f"--data=folder:{tmp_path / 'grey'}"
    refused(capsys, 3, "add --fit=resize, or --fit=pad", "eval", f"--workdir={trained[0]}", data)
    found = said(capsys, "eval", f"--workdir={trained[0]}", data, "--fit=pad")
    padded = np.pad(np.repeat(grey.splits["test"].image, 3, -1), ((0, 0), (3, 3), (3, 3), (0, 0)))
    assert found["n"] == len(padded)
    assert found["accuracy"] == pytest.approx((run.predict(padded).argmax(1) == grey.splits["test"].label).mean())
    assert found["identity"]["fit"] == "pad"
    larger = said(
        capsys, "eval", f"--workdir={trained[0]}", data, "--fit=resize", "--image_size=24", "--protocol=ten_crop"
    )
    assert larger["identity"]["image_size"] == [24, 24]
    assert larger["identity"]["views"] == 10


def test_colours_become_grey_for_a_grey_network(trained, images, tmp_path, capsys):
    path = workdir(tmp_path / "w", "mlp:4", dataset(20, 1))
    found = said(capsys, "eval", f"--workdir={path}", f"--data=folder:{images}")
    run, data = cnn_jax.load(path), load_dataset(f"folder:{images}", validation=0)
    luma = np.stack([np.asarray(Image.fromarray(im).convert("L")) for im in np.asarray(data.splits["test"].image)])
    predicted = run.predict(luma[..., None]).argmax(1)
    assert found["accuracy"] == pytest.approx((predicted == data.splits["test"].label).mean(), abs=0.06)


def test_predict_files_folders_and_arrays(trained, images, tmp_path, capsys):
    inside = images / "test" / "ant"
    files = sorted(inside.iterdir(), key=lambda file: int(file.stem))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    np.save(tmp_path / "many.npy", pixels)
    np.save(tmp_path / "grey.npy", pixels[0, ..., 0])
    workdir = f"--workdir={trained[0]}"
    answers = said(capsys, "predict", workdir, files[0], inside, tmp_path / "many.npy", tmp_path / "grey.npy")
    n = len(files)
    assert [row["image"] for row in answers[: n + 2]] == [str(files[0]), *map(str, files), f"{tmp_path}/many.npy[0]"]
    assert len(answers) == 2 * n + 2
    assert answers[0]["top5"] == answers[1]["top5"]
    chances = cnn_jax.load(trained[0]).predict(pixels)
    for row, chance in zip(answers[n + 1 : 2 * n + 1], chances, strict=True):
        assert [one["label"] for one in row["top5"]] == np.argsort(-chance)[:5].tolist()
    assert main(["predict", workdir, str(files[0])]) == 0
    assert "█" in capsys.readouterr().out


def test_bad_input_is_one_line(trained, images, tmp_path, capsys):
    run = f"--workdir={trained[0]}"
    folder(tmp_path / "far", dataset(20, classes=("ant", "yak", "zebra")))
    refused(capsys, 3, "does not know: yak, zebra; it knows ant, bee, cat and 4 more", "eval", run,
            f"--data=folder:{tmp_path / 'far'}")  # fmt: skip
    refused(capsys, 2, "two or more different checkpoints", "eval", run, "--step=average:2")
    refused(capsys, 4, "no checkpoint of step 9", "eval", run, "--step=average:2,9")
    refused(capsys, 2, "unknown corruption 'snow'", "eval", run, "--corruptions=snow")
    refused(capsys, 2, "takes crops smaller than the images", "eval", run, "--protocol=ten_crop")
    refused(capsys, 2, "invalid choice", "eval", run, "--protocol=many")
    refused(capsys, 2, "between 1 and 4096", "eval", run, "--image_size=0")
    refused(capsys, 4, "a workdir?", "eval", f"--workdir={tmp_path}")
    refused(capsys, 2, "is a file", "eval", run, f"--output={next((images / 'test' / 'ant').iterdir())}")
    refused(capsys, 3, "holds no images", "predict", run, _made(tmp_path / "empty"))
    refused(capsys, 3, "does not exist", "predict", run, tmp_path / "none")
    np.save(tmp_path / "wide.npy", np.zeros((2, 4, 4, 5), np.uint8))
    refused(capsys, 3, "is uint8[2, 4, 4, 5]", "predict", run, tmp_path / "wide.npy")
    np.save(tmp_path / "object.npy", np.array([{}, {}]), allow_pickle=True)
    refused(capsys, 3, "is no array of numbers", "predict", run, tmp_path / "object.npy")


def test_damaged_workdirs_are_one_line(trained, images, tmp_path, capsys):
    broken = workdir(tmp_path / "w", "mlp:4", dataset(20), data=f"folder:{images}")
    (state,) = (broken / "checkpoints").iterdir()
    file = max((path for path in (state / "state").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    refused(capsys, 4, "is damaged", "eval", f"--workdir={broken}")
    (state / "MANIFEST.json").unlink()
    assert main(["eval", f"--workdir={broken}"]) == 4
    assert "no checkpoint in" in capsys.readouterr().err
    (broken / "dataset.json").write_text("{}")
    refused(capsys, 4, "dataset.json is damaged (KeyError", "eval", f"--workdir={broken}")


def _made(path):
    path.mkdir()
    return path
