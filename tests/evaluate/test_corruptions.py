"""Corruptions against SciPy, Pillow and plain NumPy; the same for an example whatever batch it is in."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cnn_jax.commands.evaluating import CORRUPTIONS
from cnn_jax.evaluate.corruptions import SEVERITIES, corrupt, gaussian_noise

INDEX = np.arange(6)


@pytest.fixture(params=[1, 3])
def images(request):
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(6, 24, 30, request.param)), (0, 2, 2, 0))
    return np.clip(128 + 600 * smooth, 0, 255).astype(np.uint8)


def test_the_command_line_offers_every_corruption():
    assert tuple(SEVERITIES) == CORRUPTIONS


@pytest.mark.parametrize("name", SEVERITIES)
def test_each_is_its_own_in_any_batch_and_grows_with_severity(name, images):
    before = images.copy()
    whole = corrupt(name, 3, images, INDEX)
    assert whole.dtype == np.uint8
    assert whole.shape == images.shape
    for i in (0, 4):
        np.testing.assert_array_equal(corrupt(name, 3, images[i : i + 1], INDEX[i : i + 1]), whole[i : i + 1])
    np.testing.assert_array_equal(images, before)
    changes = [np.abs(corrupt(name, s, images, INDEX).astype(float) - images).mean() for s in range(1, 6)]
    assert changes == sorted(changes)
    assert changes[0] > 0


def test_noise_is_white_and_differs_between_examples():
    grey = np.full((2, 64, 64, 3), 128, np.uint8)
    noise = gaussian_noise(grey, np.array([7, 8]), 0.1).astype(float) - 128
    assert noise.std() == pytest.approx(25.5, rel=0.02)
    assert abs(noise.mean()) < 0.5
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.03


def test_blur_is_scipys(images):
    for i, channel in ((0, 0), (3, images.shape[-1] - 1)):
        expected = ndimage.gaussian_filter(images[i, ..., channel].astype(float), 1.0, mode="nearest")
        assert np.abs(corrupt("gaussian_blur", 5, images, INDEX)[i, ..., channel] - expected).max() <= 0.501


def test_contrast_by_hand(images):
    found = corrupt("contrast", 4, images, INDEX)
    mean = images[2, ..., 0].mean()
    expected = np.clip(mean + 0.3 * (images[2, ..., 0] - mean), 0, 255)
    assert np.abs(found[2, ..., 0] - expected).max() <= 0.501


def test_jpeg_is_pillows(images):
    picture = Image.fromarray(images[1, ..., 0] if images.shape[-1] == 1 else images[1])
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    expected = np.asarray(Image.open(stream)).reshape(images.shape[1:])
    np.testing.assert_array_equal(corrupt("jpeg", 1, images, INDEX)[1], expected)


def test_shift_is_scipys(images):
    found = corrupt("shift", 5, images, INDEX)
    for i in range(4):
        move = ((1 if i & 1 else -1) * round(24 * 5 / 32), (1 if i & 2 else -1) * round(30 * 5 / 32), 0)
        expected = ndimage.shift(images[i], move, order=0, mode="nearest")
        np.testing.assert_array_equal(found[i], expected)


def test_large_images_have_constants_of_their_own():
    assert SEVERITIES["jpeg"].constants((32, 500)) == (80, 65, 58, 50, 40)
    assert SEVERITIES["jpeg"].constants((224, 224)) == (25, 18, 15, 10, 7)
