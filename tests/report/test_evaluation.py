"""Figures of an evaluation: what is in them, and that odd cases are drawn as well."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnn_jax.evaluate.calibration import reliability
from cnn_jax.report.confusion import draw_confusion
from cnn_jax.report.corruption_curves import draw_corruptions
from cnn_jax.report.mistake_sheet import draw_mistakes
from cnn_jax.report.reliability import draw_reliability


def colours(file) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")).reshape(-1, 3)


@pytest.mark.parametrize("classes", [2, 30, 120])
def test_confusion_of_few_and_many_classes(classes, tmp_path):
    matrix = np.eye(classes, dtype=int) * 9
    matrix[0, 1] = 1
    matrix[1] = 0  # a class without examples
    draw_confusion(tmp_path / "a.png", matrix, [f"class {i} $x$" for i in range(classes)], "title")
    with Image.open(tmp_path / "a.png") as picture:
        assert 400 < min(picture.size) <= max(picture.size) < 1800
    # Both ends of cividis are there.
    seen = colours(tmp_path / "a.png")
    for end in ((0, 34, 78), (253, 231, 55)):
        assert (np.abs(seen.astype(int) - end).sum(1) < 40).any()


def test_confusion_names_outputs_without_classes(tmp_path):
    draw_confusion(tmp_path / "a.png", np.array([[1, 0, 2], [0, 1, 0], [0, 0, 0]]), ["a", "b"], "title")
    draw_confusion(tmp_path / "b.png", np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]]), ["a", "b"], "title")
    with Image.open(tmp_path / "a.png") as three, Image.open(tmp_path / "b.png") as two:
        assert three.size >= two.size


def test_reliability_with_empty_bins_and_single_examples(tmp_path):
    diagram = reliability(np.array([0.5, 0.97, 0.99, 1.0]), np.array([False, True, True, True]))
    draw_reliability(tmp_path / "a.png", diagram, 0.1, "title")
    blue = np.array([0x00, 0x72, 0xB2])
    assert (colours(tmp_path / "a.png") == blue).all(1).sum() > 100


@pytest.mark.parametrize(("n", "channels"), [(0, 3), (3, 1), (7, 3)])
def test_mistakes_are_shown_as_they_are(n, channels, tmp_path):
    value = 77
    images = [np.full((8, 8, channels), value, np.uint8)] * n
    row = {"class": "a" * 50, "prediction": "$b", "probability": 0.5, "index": 3}
    draw_mistakes(tmp_path / "a.png", images, [row] * n, "title")
    there = (colours(tmp_path / "a.png") == value).all(1).sum()
    assert there > 20000 * n if n else there < 100


def test_curves_begin_at_the_clean_error(tmp_path):
    clean = {"accuracy": 0.9, "lo": 0.88, "hi": 0.92}
    rows = [{"accuracy": 0.9 - 0.1 * s, "lo": 0.85 - 0.1 * s, "hi": 0.95 - 0.1 * s} for s in range(1, 6)]
    draw_corruptions(tmp_path / "a.png", clean, {"gaussian_noise": rows, "jpeg": rows[::-1]}, "title")
    assert (colours(tmp_path / "a.png") == 0).all(1).sum() > 200
