from __future__ import annotations

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from cnn_jax import ops
from cnn_jax.errors import ConfigError

HEIGHT, WIDTH = 12, 10
PIXELS = np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 3), np.uint8)
# Rows and columns as values: what is interpolated tells where it was read.
PLACES = np.stack([*np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij"), np.ones((HEIGHT, WIDTH))], -1)
PLACES = PLACES.astype(np.float32)


def _flips(image, outputs):
    mirrored = [np.array_equal(out, image[:, ::-1]) for out in outputs]
    assert all(m or np.array_equal(out, image) for m, out in zip(mirrored, outputs, strict=True))
    assert 0.3 < np.mean(mirrored) < 0.7


def _crops(image, outputs, pad=2, mode: Literal["constant", "reflect"] = "constant"):
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode=mode)
    windows = {
        padded[i : i + HEIGHT, j : j + WIDTH].tobytes(): (i, j) for i in range(2 * pad + 1) for j in range(2 * pad + 1)
    }
    places = [windows[np.asarray(out).tobytes()] for out in outputs]
    # 300 draws of 25 places: each comes up, and none 30 times.
    counts = np.unique(places, axis=0, return_counts=True)[1]
    assert len(counts) == (2 * pad + 1) ** 2
    assert counts.max() < 30


def _brightness(image, outputs, delta=0.3):
    full = 255 if image.dtype == np.uint8 else 1
    shifts = []
    for out in np.asarray(outputs, np.float64):
        inside = (out > 0) & (out < 255) if full == 255 else np.ones(out.shape, bool)
        shifts.append(np.median((out - image)[inside]))
        reference = image + shifts[-1]
        np.testing.assert_allclose(out, np.clip(reference, 0, 255) if full == 255 else reference, atol=full * 1e-6)
    _spread(np.array(shifts) / full, delta)


def _contrast(image, outputs, delta=0.4):
    _blend(image, outputs, image.astype(np.float64).mean((0, 1)), delta)


def _saturation(image, outputs, delta=0.5):
    _blend(image, outputs, (image.astype(np.float64) @ [0.299, 0.587, 0.114])[..., None], delta)


def _cutouts(image, outputs, size=5):
    areas = []
    for out in outputs:
        rows, columns = np.nonzero((out == 0).all(-1))
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        reference = image.copy()
        reference[top:bottom, left:right] = 0
        np.testing.assert_array_equal(out, reference)
        assert bottom - top == size or top == 0 or bottom == HEIGHT
        assert right - left == size or left == 0 or right == WIDTH
        areas.append((bottom - top) * (right - left))
    assert max(areas) == size**2
    # Centres in a corner leave a quarter.
    assert min(areas) <= 9


CASES = {
    "random_flip": (ops.random_flip, _flips),
    "pad_crop": (partial(ops.pad_crop, pad=2), _crops),
    "pad_crop reflect": (partial(ops.pad_crop, pad=2, mode="reflect"), partial(_crops, mode="reflect")),
    "random_brightness": (partial(ops.random_brightness, delta=0.3), _brightness),
    "random_contrast": (partial(ops.random_contrast, delta=0.4), _contrast),
    "random_saturation": (partial(ops.random_saturation, delta=0.5), _saturation),
    "cutout": (partial(ops.cutout, size=5), _cutouts),
    "random_resized_crop": (ops.random_resized_crop, None),
    "random_rotation": (partial(ops.random_rotation, degrees=25), None),
}


def _images(dtype):
    return PIXELS if dtype == np.uint8 else (PIXELS / 255).astype(np.float32)


def _many(transform, image, count=300):
    keys = jax.random.split(jax.random.key(1), count)
    return np.asarray(jax.jit(jax.vmap(transform, in_axes=(0, None)))(keys, jnp.asarray(image)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_against_numpy_under_jit_and_under_vmap(name, dtype):
    transform, check = CASES[name]
    image = _images(dtype)
    keys = jax.random.split(jax.random.key(1), 3)
    plain = [transform(key, jnp.asarray(image)) for key in keys]
    jitted = [jax.jit(transform)(key, image) for key in keys]
    batched = _many(transform, image, 3)
    for one, two, three in zip(plain, jitted, batched, strict=True):
        assert one.dtype == two.dtype == three.dtype == dtype
        assert one.shape == image.shape
        tolerance = 1 if dtype == np.uint8 else 1e-5
        np.testing.assert_allclose(np.float32(one), np.float32(two), atol=tolerance)
        np.testing.assert_allclose(np.float32(one), np.float32(three), atol=tolerance)
    if check is not None:
        check(image, _many(transform, image))


@pytest.mark.parametrize("name", CASES)
def test_grey_images_and_keys(name):
    transform, _ = CASES[name]
    grey = jnp.asarray(PIXELS[..., :1])
    outputs = _many(transform, grey, 20)
    assert outputs.shape == (20, HEIGHT, WIDTH, 1)
    np.testing.assert_array_equal(outputs, _many(transform, grey, 20))
    if name != "random_saturation":
        assert len({out.tobytes() for out in outputs}) > 1


def test_resized_crops_lie_in_the_image_and_keep_to_area_and_aspect():
    shares, ratios, tops = [], [], []
    for out in _many(partial(ops.random_resized_crop, area=0.2), PLACES):
        # Away from the border the reading place is linear in the pixel: its slope is the scale.
        scale_y, scale_x = np.median(np.diff(out[..., 0], axis=0)), np.median(np.diff(out[..., 1], axis=1))
        height, width = scale_y * HEIGHT, scale_x * WIDTH
        middle = out[HEIGHT // 2, WIDTH // 2, :2] + 0.5
        top, left = middle - (np.array([HEIGHT // 2, WIDTH // 2]) + 0.5) * [scale_y, scale_x]
        rows = np.clip(top + (np.arange(HEIGHT) + 0.5) * scale_y - 0.5, 0, HEIGHT - 1)
        columns = np.clip(left + (np.arange(WIDTH) + 0.5) * scale_x - 0.5, 0, WIDTH - 1)
        np.testing.assert_allclose(out[..., 0], np.broadcast_to(rows[:, None], (HEIGHT, WIDTH)), atol=2e-4)
        np.testing.assert_allclose(out[..., 1], np.broadcast_to(columns, (HEIGHT, WIDTH)), atol=2e-4)
        assert top > -1e-3
        assert left > -1e-3
        assert top + height < HEIGHT + 1e-3
        assert left + width < WIDTH + 1e-3
        shares.append(height * width / (HEIGHT * WIDTH))
        ratios.append(scale_x / scale_y)
        tops.append(top / max(HEIGHT - height, 1e-3))
    assert 0.19 < min(shares) < 0.23
    assert 0.9 < max(shares) < 1.001
    assert 0.749 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.334
    assert np.ptp(tops) > 0.9


def test_a_crop_of_everything_is_the_image():
    whole = partial(ops.random_resized_crop, area=1.0, aspect=1.0)
    np.testing.assert_array_equal(_many(whole, PIXELS, 2), np.stack([PIXELS] * 2))


def test_rotation_as_scipy():
    angles = []
    transform = partial(ops.random_rotation, degrees=25)
    places, images = _many(transform, PLACES, 60), _many(transform, _images(np.float32), 60)
    for where, image in zip(places, images, strict=True):
        middle = where[HEIGHT // 2 - 1 : HEIGHT // 2 + 1, WIDTH // 2 - 1 : WIDTH // 2 + 1]
        angle = np.degrees(np.arctan2(np.diff(middle[..., 0], axis=1).mean(), np.diff(middle[..., 0], axis=0).mean()))
        padded = np.pad(_images(np.float32), ((4, 4), (4, 4), (0, 0)))
        reference = scipy.ndimage.rotate(padded, angle, reshape=False, order=1)[4:-4, 4:-4]
        np.testing.assert_allclose(image, reference, atol=1e-4)
        angles.append(angle)
    _spread(np.array(angles), 25)


def test_uint8_is_clipped_and_floats_are_not():
    bright = _many(partial(ops.random_brightness, delta=1.0), PIXELS, 50)
    assert bright.min() == 0
    assert bright.max() == 255
    assert _many(partial(ops.random_brightness, delta=1.0), _images(np.float32), 50).max() > 1.2


@pytest.mark.parametrize("arguments", [{"mode": "wrap"}, {"pad": -1}, {"pad": 10, "mode": "reflect"}])
def test_padding_that_cannot_be_is_refused(arguments):
    with pytest.raises(ConfigError, match="E-CONF-64"):
        ops.pad_crop(jax.random.key(0), jnp.asarray(PIXELS), **arguments)


def _blend(image, outputs, middle, delta):
    """Every output is `middle + f (image - middle)` for one f in 1 +- delta."""
    full = 255 if image.dtype == np.uint8 else 1
    distance = image - middle
    factors = []
    for out in np.asarray(outputs, np.float64):
        inside = (out > 0) & (out < full) if full == 255 else np.ones(out.shape, bool)
        factors.append(np.vdot(distance[inside], (out - middle)[inside]) / np.vdot(distance[inside], distance[inside]))
        reference = middle + factors[-1] * distance
        reference = np.clip(reference, 0, 255) if full == 255 else reference
        np.testing.assert_allclose(out, reference, atol=1 if full == 255 else 1e-5)
    _spread(np.array(factors) - 1, delta)


def _spread(values, delta):
    """Looks uniform in +-delta."""
    assert np.abs(values).max() <= delta * 1.01
    assert values.min() < -0.85 * delta
    assert values.max() > 0.85 * delta
    assert abs(values.mean()) < 0.25 * delta
