"""The geometry that comes with the images of `shapes`: masks, boxes, depth and flow agree with what is painted."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_jax.data.shapes import CLASSES, draw, render, scene
from cnn_jax.data.shapes.outline import distance
from cnn_jax.data.shapes.painting import paint
from cnn_jax.data.shapes.scene import CLUTTER, LAYERS, OBJECTS, SPLITS, compose

INDICES = np.arange(200)
GRID = np.linspace(-2.5, 2.5, 501, dtype=np.float32)


@pytest.fixture(scope="module")
def example():
    return render(INDICES, split="tuning", pairs=True)


def filled(kind, turn=0.0, stretch=1.0, grid=GRID):
    """Which points of a grid are inside the shape, turned and stretched."""
    x, y = np.meshgrid(grid, grid)
    cos, sin = np.float32(np.cos(2 * np.pi * turn)), np.float32(np.sin(2 * np.pi * turn))
    return distance(kind, (x * cos + y * sin) / np.float32(stretch), (y * cos - x * sin) * np.float32(stretch)) < 0


@pytest.mark.parametrize("name", CLASSES)
def test_equal_areas_and_centroids(name):
    inside = filled(CLASSES.index(name))
    assert inside.sum() * (GRID[1] - GRID[0]) ** 2 == pytest.approx(np.pi, rel=0.005)
    y, x = np.nonzero(inside)
    assert abs(GRID[x].mean()) < 0.005
    assert abs(GRID[y].mean()) < 0.005


def test_no_pose_makes_one_class_another():
    coarse = GRID[::5]
    poses = [
        filled(kind, turn, stretch, coarse).ravel()
        for kind in range(10)
        for turn in np.arange(0, 1, 1 / 40)
        for stretch in (0.88, 1, 1.136)
    ]
    poses = np.array(poses, np.float32)
    upright = np.array([filled(kind, grid=coarse).ravel() for kind in range(10)], np.float32)
    both = upright @ poses.T
    overlap = both / (upright.sum(1)[:, None] + poses.sum(1) - both)
    overlap = overlap.reshape(10, 10, -1).max(axis=2)
    assert np.diag(overlap).min() > 0.99
    assert (overlap - np.eye(10) * overlap).max() < 0.93


def test_slope_of_outlines_is_about_one():
    x, y = np.meshgrid(GRID, GRID)
    for kind in range(10):
        d = distance(kind, x, y)
        slope = np.hypot(*np.gradient(d, GRID[1] - GRID[0]))
        assert np.median(slope[np.abs(d) < 0.03]) == pytest.approx(1, abs=0.05)


def test_boxes_are_the_extents_of_the_instances(example):
    for index in range(len(INDICES)):
        assert example["box_label"][index, 0] == example["label"][index]
        for row in range(OBJECTS):
            y, x = np.nonzero(example["instance"][index] == row + 1)
            if example["box_label"][index, row] < 0:
                assert len(y) == 0
                np.testing.assert_array_equal(example["boxes"][index, row], 0)
            else:
                extent = np.array([y.min(), x.min(), y.max() + 1, x.max() + 1]) / 32
                np.testing.assert_allclose(example["boxes"][index, row], extent, atol=1e-6)
                assert len(y) >= 12


def test_mask_is_the_class_of_the_instance(example):
    classes = np.concatenate([np.full((len(INDICES), 1), -1), example["box_label"]], axis=1)
    expected = np.take_along_axis(classes, example["instance"].reshape(len(INDICES), -1), axis=1) + 1
    np.testing.assert_array_equal(example["mask"].reshape(len(INDICES), -1), expected)
    assert (example["box_label"][:, 1:] >= 0).mean() > 0.3


def test_the_label_is_the_largest_object_and_it_can_be_seen():
    things = compose(np.arange(2000), seed=0, split="tuning")
    radius = np.where((things.instance > 0) & things.present, things.radius, 0)
    main = np.take_along_axis(things.instance, radius.argmax(axis=1)[:, None], axis=1)
    np.testing.assert_array_equal(main, 1)
    assert (np.sort(radius, axis=1)[:, -2] <= 0.6 * radius.max(axis=1)).all()
    pixels = (render(range(2000), split="tuning")["instance"] == 1).sum(axis=(1, 2))
    share = pixels / (np.pi * (radius.max(axis=1) * 16) ** 2)
    assert share.min() > 0.25
    assert np.quantile(share, 0.05) > 0.5


def only(things, layer):
    """The scene with the background and one layer."""
    return things._replace(present=things.present & np.isin(np.arange(LAYERS), (0, layer))[None])


def test_depth_is_that_of_the_nearest_layer():
    # Each layer painted alone gives the depth it has wherever it is; what is seen must be the nearest of them.
    indices = np.arange(40)
    things, keys = compose(indices, seed=0, split="tuning"), draw.example_keys(indices, seed=0, split=SPLITS["tuning"])
    nearest = np.min([paint(only(things, layer), 32, keys)["depth"] for layer in range(LAYERS)], axis=0)
    whole = paint(things, 32, keys)
    np.testing.assert_array_equal(whole["depth"], nearest)
    depth = render(indices, split="tuning")["depth"]
    np.testing.assert_allclose(depth, nearest * 1000, atol=1)
    assert depth.min() > 500


def sample(image, x, y):
    """Bilinear interpolation of [H, W, C] at float positions [H, W]."""
    size = image.shape[0]
    x, y = np.clip(x, 0, size - 1.001), np.clip(y, 0, size - 1.001)
    i, j = y.astype(int), x.astype(int)
    fy, fx = (y - i)[..., None], (x - j)[..., None]
    top = image[i, j] * (1 - fx) + image[i, j + 1] * fx
    return top * (1 - fy) + (image[i + 1, j] * (1 - fx) + image[i + 1, j + 1] * fx) * fy


def test_flow_takes_the_second_frame_to_the_first(monkeypatch):
    monkeypatch.setattr(scene, "NOISE", (0.0, 0.0))
    size = 128
    example = render(range(24), split="tuning", size=size, pairs=True)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    warped, still = [], []
    for index in range(24):
        first, second = example["image"][index].astype(float), example["image2"][index].astype(float)
        flow, seen = example["flow"][index], example["visible"][index] > 0
        warped.append(np.abs(sample(second, x + flow[..., 0], y + flow[..., 1]) - first)[seen].mean())
        still.append(np.abs(second - first)[seen].mean())
    # What is left is light, which stays where it is, and shadows.
    assert np.mean(warped) < 7
    assert np.mean(warped) < 0.4 * np.mean(still)
    assert 0.6 < example["visible"].mean() < 0.95


def test_flow_is_a_similarity_of_each_layer(example):
    flow, instance = example["flow"], example["instance"]
    x, y = np.meshgrid(np.arange(32) + 0.5, np.arange(32) + 0.5)
    for index in range(20):
        here = instance[index] == 1
        u, v = flow[index][here].T
        # u = a + s x - t y, v = b + t x + s y: four numbers explain every pixel.
        one, zero = np.ones(here.sum()), np.zeros(here.sum())
        system = np.concatenate(
            [np.stack([one, zero, x[here], -y[here]], 1), np.stack([zero, one, y[here], x[here]], 1)]
        )
        solution, *_ = np.linalg.lstsq(system, np.concatenate([u, v]), rcond=None)
        np.testing.assert_allclose(system @ solution, np.concatenate([u, v]), atol=1e-4)
        assert abs(solution[2]) < 0.1
        assert abs(solution[3]) < 0.22


def test_clutter_bears_no_label():
    things = compose(np.arange(300), seed=0, split="train")
    clutter = things.instance[:, 1 : 1 + CLUTTER]
    assert (clutter == 0).all()
    named = (things.kind < len(CLASSES)) & (things.instance == 0) & things.present
    assert named.any()
    assert things.half[named].all()
