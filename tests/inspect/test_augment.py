"""The sheet of augmentations: what stands where on it, and the command that writes it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import Dataset, Split
from cnn_jax.inspect import METHODS, Request
from cnn_jax.inspect import augment as method
from cnn_jax.inspect.augment import DRAWS, choose
from cnn_jax.inspect.sheet import CELL, contact_sheet
from cnn_jax.main import main
from tests.toy import toy_config, toy_dataset

ENTRIES = ("flip:1", "cutout:4", "mixup:1")


@pytest.fixture
def dataset(monkeypatch):
    """In place of the data that a config names."""
    toy = toy_dataset()
    monkeypatch.setattr(method, "load_config_data", lambda config: toy)
    return toy


def test_cells_show_the_images(dataset):
    found = METHODS["augment"].run(Request(toy_config(augment=ENTRIES), None, 3))
    index = [example["index"] for example in found.facts["examples"]]
    images = dataset.splits["train"].image[index]
    assert found.facts["columns"][:4] == ["original", *ENTRIES]
    assert len(found.facts["columns"]) == 4 + DRAWS
    sheet = np.asarray(found.pictures["augment"])
    scale = -(-CELL // 12)
    enlarged = [np.repeat(np.repeat(image, scale, 0), scale, 1) for image in images]
    places = [_place(sheet, image) for image in enlarged]
    # One above the other; their mirrors stand beside them.
    assert len({x for _, x in places}) == 1
    assert [y for y, _ in places] == sorted({y for y, _ in places})
    for (y, x), image in zip(places, enlarged, strict=True):
        mirrored = _place(sheet, image[:, ::-1])
        assert mirrored[0] == y
        assert mirrored[1] > x
    assert sheet[0, 0].tolist() == [255, 255, 255]


def test_facts_are_json_and_measure_the_change(dataset):
    found = METHODS["augment"].run(Request(toy_config(augment=("flip:0", "cutout:4")), None, 2))
    assert json.loads(json.dumps(found.facts)) == found.facts
    nothing, cut = found.facts["augment"]
    assert nothing["mean_change"] == 0
    assert nothing["parameters"] == {"probability": 0.0}
    assert cut["mean_change"] > 0
    assert len(found.lines) == 3


def test_every_class_is_shown_before_any_comes_twice():
    label = np.array([0] * 90 + [1] * 5 + [2] * 5, np.int32)
    image = np.zeros((100, 2, 2, 1), np.uint8)
    dataset = Dataset("skewed", ("a", "b", "c"), {"train": Split(image, label)}, "")
    for seed in range(5):
        chosen = choose(dataset, 7, seed)
        assert len(set(chosen)) == 7
        assert sorted(label[chosen[:3]]) == [0, 1, 2]
        assert sorted(label[chosen[3:6]]) == [0, 1, 2]
    assert len(choose(dataset, 1000, 0)) == 100


def test_sheets_of_grey_and_of_large_images():
    grey = np.full((8, 8, 1), 77, np.uint8)
    sheet = np.asarray(contact_sheet([[grey]], ["one"], ["row"]))
    y, x = np.argwhere((sheet == 77).all(-1).cumsum(1)[:, -1] >= CELL)[0, 0], sheet.shape[1] - CELL - 8
    assert (sheet[y : y + CELL, x : x + CELL] == 77).all()
    large = np.full((300, 600, 3), (9, 90, 200), np.uint8)
    sheet = contact_sheet(
        [[large, large]], ["a heading that is much too long for its column", "b"], ["row"], [["", "caption"]]
    )
    blue = (np.asarray(sheet) == (9, 90, 200)).all(-1)
    assert blue.sum() == 2 * 112 * 224


def test_the_command_writes_the_picture(dataset, tmp_path, capsys):
    file = tmp_path / "config.py"
    file.write_text("def get_config(arg=''):\n    return {'total_steps': 1, 'augment': ('flip:1',)}\n")
    output = tmp_path / "new" / "sheet.png"
    assert (
        main(["inspect", "--method=augment", f"--config={file}", f"--output={output}", "--examples=2", "--json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    with Image.open(output) as picture:
        assert list(picture.size) == said["size"]
    assert said["picture"] == str(output)
    assert [fact["entry"] for fact in said["augment"]] == ["flip:1"]
    override = "--config.augment=pad_crop:2,mode=reflect,flip"
    assert main(["inspect", "--method=augment", f"--config={file}", f"--output={output}", override]) == 0
    assert "pad 2, mode reflect" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.augment=()"], "E-CONF-131: config.augment is empty"),
        (["--config.augment=turn"], "E-CONF-08: config.augment has 'turn', which is unknown; legal are flip"),
        (["--output=sheet.text"], "E-CONF-132: --output=sheet.text names no format"),
        (["--examples=0"], "E-CONF-133: --examples=0 must be at least 1"),
        (["--method=filter"], "invalid choice: 'filter'"),
        (["--workdir=runs/one"], "not allowed with"),
    ],
)
def test_bad_input_is_one_line(arguments, words, dataset, tmp_path, capsys):
    file = tmp_path / "config.py"
    file.write_text("def get_config(arg=''):\n    return {'total_steps': 1, 'augment': ('flip',)}\n")
    assert main(["inspect", "--method=augment", f"--config={file}", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def _place(sheet, image):
    """Row and column of the only place where `image` stands on the sheet."""
    height, width = image.shape[:2]
    candidates = np.argwhere((sheet == image[0, 0]).all(-1))
    found = [(y, x) for y, x in candidates if np.array_equal(sheet[y : y + height, x : x + width], image)]
    assert len(found) == 1
    return found[0]
