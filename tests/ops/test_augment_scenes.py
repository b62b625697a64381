"""Masks and boxes go where the image goes: a scene whose image is painted from its mask stays consistent."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from cnn_jax import ops
from cnn_jax.ops.augment_example import Scene
from cnn_jax.ops.augment_geometric import Outside, _gaussian

HEIGHT, WIDTH = 40, 48
# ymin, xmin, ymax, xmax in pixels; the last row is "no object".
PIXEL_BOXES = np.array([[6, 10, 18, 40], [25, 3, 37, 15], [0, 0, 0, 0]])
BOXES = (PIXEL_BOXES / [HEIGHT, WIDTH, HEIGHT, WIDTH]).astype(np.float32)
DRAWS = 40

GEOMETRIC = {
    "random_flip": ops.random_flip,
    "alternating_flip": partial(ops.alternating_flip, epoch=jnp.int32(3)),
    "pad_crop": partial(ops.pad_crop, pad=9),
    "random_resized_crop": ops.random_resized_crop,
    "random_rotation": partial(ops.random_rotation, degrees=40),
    "random_scale": partial(ops.random_scale, factor=1.6),
    "random_translation": partial(ops.random_translation, share=0.3),
    "elastic": partial(ops.elastic, alpha=60.0, sigma=6.0),
}
PHOTOMETRIC = {
    "random_brightness": ops.random_brightness,
    "random_contrast": ops.random_contrast,
    "random_saturation": ops.random_saturation,
    "random_hue": ops.random_hue,
    "pca_colour": partial(ops.pca_colour, covariance=np.eye(3)),
    "cutout": ops.cutout,
}


def _scene() -> Scene:
    mask = np.zeros((HEIGHT, WIDTH), np.int32)
    for number, (top, left, bottom, right) in enumerate(PIXEL_BOXES[:2], start=1):
        mask[top:bottom, left:right] = number
    # The image says the same: one channel an object.
    image = np.stack([mask == 1, mask == 2, mask == 0], -1).astype(np.uint8) * 255
    return Scene(jnp.asarray(image), jnp.asarray(mask), jnp.asarray(BOXES))


def _drawn(transform, scene: Scene, count: int = DRAWS) -> list[np.ndarray]:
    """Images, masks and boxes."""
    keys = jax.random.split(jax.random.key(3), count)
    return [np.asarray(part) for part in jax.jit(jax.vmap(transform, in_axes=(0, None)))(keys, scene)]


@pytest.mark.parametrize("name", GEOMETRIC)
def test_masks_and_boxes_follow_the_image(name):
    images, masks, boxes = _drawn(GEOMETRIC[name], _scene())
    moved = 0
    for image, mask, box in zip(images, masks, boxes, strict=True):
        for number in (1, 2):
            inside, seen = mask == number, image[..., number - 1] / 255
            # The image is interpolated and the mask is not: they agree where the image is sure.
            assert inside[seen > 0.8].all()
            assert not inside[seen < 0.2].any()
            expected = np.array(scipy.ndimage.find_objects(inside.astype(int)) or [()], object)
            found = box[number - 1] * [HEIGHT, WIDTH, HEIGHT, WIDTH]
            if not inside.any():
                # What has left is zeros; a box turned at a corner may still touch the image by a sliver.
                assert np.prod(found[2:] - found[:2]) < (20 if name in ("random_rotation", "elastic") else 1e-6) + 3
                continue
            tight = np.array([s.start for s in expected[0]] + [s.stop for s in expected[0]])
            # A pixel counts when its centre is inside, so edges agree to half a pixel (times the magnification), and
            # where a corner was cut off by the border the box around all four is larger.
            slack = 2.0 if name == "elastic" else 1.9 if name == "random_resized_crop" else 1.2
            assert (found[:2] <= tight[:2] + slack).all()
            assert (found[2:] >= tight[2:] - slack).all()
            whole = (tight[:2] > 0).all() and (tight[2:] < [HEIGHT, WIDTH]).all()
            if whole:
                np.testing.assert_allclose(found, tight, atol=slack)
                moved += not np.allclose(found, PIXEL_BOXES[number - 1], atol=0.5)
        assert (box >= 0).all()
        assert (box <= 1).all()
        assert (box[2] == 0).all()
    assert moved >= 5


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_colours_leave_masks_and_boxes(name):
    scene = _scene()
    images, masks, boxes = _drawn(PHOTOMETRIC[name], scene, 4)
    assert (images != np.asarray(scene.image)).any()
    assert (masks == np.asarray(scene.mask)).all()
    assert (boxes == BOXES).all()


def test_a_scene_and_its_image_get_the_same_draw():
    scene, key = _scene(), jax.random.key(8)
    for transform in (*GEOMETRIC.values(), *PHOTOMETRIC.values()):
        alone = jax.eval_shape(transform, key, scene.image)
        both = jax.eval_shape(transform, key, Scene(scene.image))
        assert both.mask is None
        assert both.boxes is None
        assert (alone.shape, alone.dtype) == (both.image.shape, both.image.dtype)
    for transform in (ops.pad_crop, ops.random_rotation):
        np.testing.assert_array_equal(transform(key, scene.image), transform(key, scene).image)


def test_no_strength_is_no_change():
    scene = _scene()
    none = [
        partial(ops.random_flip, probability=0.0),
        partial(ops.pad_crop, pad=0),
        partial(ops.random_resized_crop, area=1.0, aspect=1.0),
        partial(ops.random_rotation, degrees=0.0),
        partial(ops.random_scale, factor=1.0),
        partial(ops.random_translation, share=0.0),
        partial(ops.elastic, alpha=0.0),
        partial(ops.random_brightness, delta=0.0),
        partial(ops.random_contrast, delta=0.0),
        partial(ops.random_saturation, delta=0.0),
        partial(ops.random_hue, delta=0.0),
        partial(ops.pca_colour, covariance=np.eye(3), sigma=0.0),
    ]
    results = jax.jit(lambda key, scene: [transform(key, scene) for transform in none])(jax.random.key(5), scene)
    for result in results:
        np.testing.assert_array_equal(result.image, scene.image)
        np.testing.assert_array_equal(result.mask, scene.mask)
        np.testing.assert_allclose(result.boxes, BOXES, atol=1e-6)


@pytest.mark.parametrize("sigma", [1.5, 4.0])
def test_elastic_as_scipy(sigma):
    key, alpha = jax.random.key(11), 20.0
    image = np.random.default_rng(0).random((HEIGHT, WIDTH, 3), np.float32)
    noise = np.asarray(jax.random.uniform(key, (2, HEIGHT, WIDTH), minval=-1, maxval=1), np.float64)
    moves = [alpha * scipy.ndimage.gaussian_filter(n, sigma, mode="constant") for n in noise]
    at = np.mgrid[:HEIGHT, :WIDTH] + moves
    modes: tuple[tuple[Outside, str], ...] = (("zeros", "grid-constant"), ("edge", "nearest"))
    for outside, mode in modes:
        expected = [scipy.ndimage.map_coordinates(image[..., c], at, order=1, mode=mode) for c in range(3)]
        got = ops.elastic(key, jnp.asarray(image), alpha=alpha, sigma=sigma, outside=outside)
        np.testing.assert_allclose(got, np.stack(expected, -1), atol=2e-4)
    # Away from the border the displacement is as strong as the docstring says.
    np.testing.assert_allclose(np.std(np.array(moves)[:, 12:-12, 12:-12]), alpha / (6 * sigma), rtol=0.35)


def test_the_gaussian_is_scipys_also_where_it_is_wider_than_the_image():
    for sigma in (0.5, 3.0, 20.0):
        expected = scipy.ndimage.gaussian_filter1d(np.eye(9), sigma, axis=0, mode="constant")
        np.testing.assert_allclose(_gaussian(9, sigma), expected, atol=1e-6)


def test_scale_and_translation_as_scipy():
    image = np.random.default_rng(1).random((HEIGHT, WIDTH, 1), np.float32)
    for number in range(3):
        key = jax.random.key(number)
        shares = np.asarray(jax.random.uniform(key, (2,), minval=-0.2, maxval=0.2), np.float64)
        moved = scipy.ndimage.shift(image[..., 0], -shares * [HEIGHT, WIDTH], order=1, mode="grid-constant")
        got = ops.random_translation(key, jnp.asarray(image), share=0.2)
        np.testing.assert_allclose(got[..., 0], moved, atol=1e-4)
        shrink = np.exp(float(jax.random.uniform(key, (), minval=-np.log(1.5), maxval=np.log(1.5))))
        centre = (np.array([HEIGHT, WIDTH]) - 1) / 2
        scaled = scipy.ndimage.affine_transform(
            image[..., 0], np.array([shrink, shrink]), centre * (1 - shrink), order=1, mode="grid-constant"
        )
        got = ops.random_scale(key, jnp.asarray(image), factor=1.5)
        np.testing.assert_allclose(got[..., 0], scaled, atol=1e-4)
