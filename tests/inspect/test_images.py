"""Methods that change or search images: occlusion, stability, maximise, neighbours; and parts of pictures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from cnn_jax.errors import ConfigError
from cnn_jax.inspect.maximise import Ascent, blurred, maximise
from cnn_jax.inspect.neighbours import neighbours
from cnn_jax.inspect.network import features, probabilities
from cnn_jax.inspect.occlusion import occlude
from cnn_jax.inspect.picture import mosaic, panels, positive, show_numbers, signed
from cnn_jax.inspect.stability import MOVES, moved, stability
from tests.inspect.networks import apply, images, kernels, network

SHAPE = (16, 16, 3)
LENET = "lenet:small,features=(3,4),head_features=(9,7),num_classes=3,activation=relu"
GAP = "alexnet:small,width=0.25,head=gap,num_classes=3"


def test_occlusion_place_by_place():
    net, image = network(LENET, SHAPE), images(1, SHAPE)[0]
    found = occlude(net, image, "pool2", size=5, strides=3, grey=0.5)
    rows, columns = found.centres
    assert rows.tolist() == columns.tolist() == [0, 3, 6, 9, 12, 15]
    whole = features(net, image[None], "pool2")[0]
    assert found.channel == np.unravel_index(whole.argmax(), whole.shape)[-1]
    for i, j in ((0, 0), (2, 3), (5, 1)):
        covered = image.copy()
        for y in range(rows[i] - 2, rows[i] + 3):
            for x in range(columns[j] - 2, columns[j] + 3):
                if 0 <= y < 16 and 0 <= x < 16:
                    covered[y, x] = 0.5
        np.testing.assert_allclose(found.probability[i, j], probabilities(net, covered[None])[0], rtol=1e-4, atol=1e-6)
        total = features(net, covered[None], "pool2")[0, ..., found.channel].sum()
        np.testing.assert_allclose(found.activation[i, j], total, rtol=1e-4, atol=1e-5)


def test_occlusion_finds_the_only_pixel_that_counts():
    shape = (6, 6, 1)
    net = network("lenet:small,kernel_size=1,features=(2,),head_features=(),num_classes=2,activation=relu", shape)
    image = np.zeros(shape, np.float32)
    image[4, 1] = 9
    found = occlude(net, image, "pool1", size=1)
    changed = np.abs(found.probability - found.probability[0, 0]).max(-1) > 1e-6
    assert np.argwhere(changed).tolist() == [[4, 1]]


def test_moves_by_whole_pixels_and_right_angles():
    x = jnp.asarray(images(2, (8, 8, 3)))
    down = np.asarray(moved(x, "translation", 25))
    np.testing.assert_allclose(down[:, 2:], x[:, :-2], atol=1e-5)
    np.testing.assert_allclose(down[:, 0], x[:, 0], atol=1e-5)  # the border is repeated
    for quarter in range(4):
        turned = np.asarray(moved(x, "rotation", 90 * quarter))
        np.testing.assert_allclose(turned, np.rot90(x, quarter, axes=(1, 2)), atol=1e-4)
    np.testing.assert_allclose(moved(x, "scale", 1), x, atol=1e-6)


def test_twice_as_large_is_the_middle_enlarged():
    ramp = jnp.asarray(np.mgrid[:8, :8][0][None, :, :, None], jnp.float32)
    larger = np.asarray(moved(ramp, "scale", 2))[0, :, 3, 0]
    np.testing.assert_allclose(larger, 3.5 + (np.arange(8) - 3.5) / 2, atol=1e-5)


@pytest.mark.parametrize("kind", MOVES)
def test_what_does_not_move_has_no_distance(kind):
    net, x = network(LENET, SHAPE), images(2, SHAPE)
    still = {"translation": 0, "scale": 1, "rotation": 0}[kind]
    found = stability(net, x, [1, 0], kind, [still, still + 0.3])
    for tap, distance in found.distance.items():
        np.testing.assert_allclose(distance[0], 0, atol=1e-3 * found.norm[tap].max())
        assert (distance[1] > 0).all()
    np.testing.assert_allclose(found.probability[0], probabilities(net, x)[[0, 1], [1, 0]], rtol=1e-4)
    other = np.asarray(moved(jnp.asarray(x), kind, still + 0.3))
    expected = np.linalg.norm((features(net, other, "pool2") - features(net, x, "pool2")).reshape(2, -1), axis=1)
    np.testing.assert_allclose(found.distance["pool2"][1], expected, rtol=1e-3, atol=1e-5)
    assert list(found.distance) == ["pool1", "pool2", "fc1", "fc2"]


def test_blur_against_scipy():
    x = images(2, (9, 11, 2))
    expected = ndimage.gaussian_filter(x, (0, 1.2, 1.2, 0), mode="nearest", radius=(0, 4, 4, 0))
    np.testing.assert_allclose(jax.jit(lambda x: blurred(x, 1.2))(x), expected, rtol=1e-3, atol=1e-5)


def test_one_step_of_the_ascent_by_formula():
    shape, key = (6, 6, 1), jax.random.key(3)
    net = network("linear,num_classes=2", shape)
    ((kernel, bias),) = [kernels(net, name) for name in net.variables["params"]]
    how = Ascent(steps=1, rate=0.01, decay=0.1, blur=0.0, start=0.05)
    made, scores = maximise(net, shape, [1, 0], key=key, ascent=how)
    start = 0.05 * np.asarray(jax.random.normal(key, (2, *shape)))
    for i, label in enumerate((1, 0)):
        slope = kernel[:, label].reshape(shape)
        expected = 0.9 * (start[i] + 0.01 * slope / np.sqrt((slope**2).mean()))
        # Pixels of a network without statistics lie within 0 and 1.
        np.testing.assert_allclose(made[i], np.clip(expected, 0, 1), rtol=1e-4, atol=1e-6)
        ends = [float(image.reshape(-1) @ kernel[:, label] + bias[label]) for image in (start[i], made[i])]
        np.testing.assert_allclose(scores[i], ends, rtol=1e-4, atol=1e-5)


def test_the_ascent_climbs_and_is_the_same_for_the_same_key():
    net = network(GAP, SHAPE)
    how = Ascent(steps=30)
    made, scores = maximise(net, SHAPE, [0, 1, 2], key=jax.random.key(0), ascent=how)
    assert made.shape == (3, *SHAPE)
    assert scores.shape == (3, 31)
    assert (scores[:, -1] > scores[:, 0] + 0.1).all()
    again, _ = maximise(net, SHAPE, [0, 1, 2], key=jax.random.key(0), ascent=how)
    np.testing.assert_array_equal(made, again)
    logits = apply(net, made)[0]
    np.testing.assert_allclose(scores[:, -1], np.diag(logits), rtol=1e-3, atol=1e-4)


def test_the_ascent_of_a_unit_of_a_tap():
    net = network(LENET, SHAPE)
    made, scores = maximise(net, SHAPE, [3, 1], key=jax.random.key(0), tap="pool2", ascent=Ascent(steps=5))
    values = features(net, made, "pool2")
    middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
    np.testing.assert_allclose(scores[:, -1], [middle[0, 3], middle[1, 1]], rtol=1e-3, atol=1e-5)
    with pytest.raises(ConfigError, match="E-CONF-242: pool2 has no unit 4: use 0 to 3"):
        maximise(net, SHAPE, [0, 4], key=jax.random.key(0), tap="pool2")


def test_neighbours_by_brute_force():
    net, query, searched = network(LENET, SHAPE), images(3, SHAPE), images(300, SHAPE, seed=1)
    searched[200] = query[1]
    found = neighbours(net, query, searched, nearest=4)
    ours, theirs = (features(net, x, "fc2").astype(np.float64) for x in (query, searched))
    for i in range(3):
        distance = np.sqrt(((theirs - ours[i]) ** 2).sum(1))
        np.testing.assert_allclose(found.distance[i], np.sort(distance)[:4], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(distance[found.place[i]], found.distance[i], rtol=1e-3, atol=1e-4)
    assert found.place[1, 0] == 200
    assert found.distance[1, 0] < 1e-3
    assert neighbours(net, query, searched[:2]).place.shape == (3, 2)


def test_numbers_in_squares_can_be_read_on_them():
    """Ink that contrasts with its square, and the numbers as they are."""
    _, axes = panels(1, 1)
    show_numbers(axes[0, 0], np.array([[0, 0.25], [-3, 10]]), cmap="gray", vmin=-3, vmax=10)
    written = {text.get_text(): (text.get_position(), text.get_color()) for text in axes[0, 0].texts}
    assert {number: place for number, (place, _) in written.items()} == {
        "0": (0, 0),
        "0.25": (1, 0),
        "-3": (0, 1),
        "10": (1, 1),
    }
    assert written["-3"][1] == "white"
    assert written["10"][1] == "black"


def test_mosaics():
    tiles = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(2, 1).repeat(3, 2)
    sheet = mosaic(tiles, 2, gap=1, paper=9)[..., 0]
    assert sheet.tolist() == [
        [0, 0, 0, 9, 1, 1, 1],
        [0, 0, 0, 9, 1, 1, 1],
        [9, 9, 9, 9, 9, 9, 9],
        [2, 2, 2, 9, 9, 9, 9],
        [2, 2, 2, 9, 9, 9, 9],
    ]


def test_grey_levels():
    values = np.array([[[-2.0], [0.0]], [[1.0], [2.0]]])
    assert signed(np.stack([values, 0 * values]), 100)[..., 0].tolist() == [[[0, 128], [191, 255]], [[128] * 2] * 2]
    assert positive(np.array([[[0.0, 1.0], [2.0, 4.0]]]), 100).tolist() == [[[0, 64], [128, 255]]]
    lone = np.zeros((1, 40, 40))
    lone[0, 3, 3] = 5
    assert positive(lone).max() == 255
