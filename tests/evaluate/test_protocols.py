"""Every protocol against a loop over single crops through a network written in NumPy; exactly n examples each."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax.commands.evaluating import PROTOCOLS
from cnn_jax.data import Split
from cnn_jax.errors import ConfigError
from cnn_jax.evaluate import Examples, Protocol, evaluate, examples, load, protocols
from cnn_jax.evaluate.evaluation import check_together
from tests.evaluate.numpy_lenet import probabilities, scores, softmax
from tests.evaluate.workdirs import dataset, workdir

LENET = "lenet:modern,num_classes=7,features=(3,4),head_features=(12,9),kernel_size=3"
GAP = "lenet:modern,num_classes=7,features=(3,4),kernel_size=3,head=gap"
SIZE = 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [load(workdir(root / str(seed), LENET, dataset(SIZE), (seed,))) for seed in (1, 2)]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    return load(workdir(tmp_path_factory.mktemp("runs") / "gap", GAP, dataset(SIZE)))


def asked(run, height: int, width: int, n: int = 7) -> Examples:
    """Examples of any size, as a larger `--image_size` gives them."""
    rng = np.random.default_rng(5)
    own = examples(run, dataset=dataset(SIZE, classes=run.spec.classes))
    split = Split(rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8), rng.integers(0, 7, n).astype(np.int32))
    return dataclasses.replace(own, image_size=(height, width), parts={"test": split})


def compare(run, seen: Examples, views, name: str, **options):
    """`views(image) -> [(crop, weight)]` in NumPy, averaged over the NumPy network."""
    found = evaluate([run], seen, name, **options)
    images = np.asarray(seen.parts["test"].image)
    expected = [sum(w * probabilities(run, crop) for crop, w in views(image)) for image in images]
    assert found.answers.probability.shape == (len(images), 7)
    np.testing.assert_allclose(found.answers.probability, expected, atol=2e-6)
    assert found.identity["views"] == len(views(images[0]))
    assert found.scores()["n"] == len(images)


def mirror_too(crops):
    both = [*crops, *(crop[:, ::-1] for crop in crops)]
    return [(crop, 1 / len(both)) for crop in both]


def five(image, side):
    below, right = image.shape[0] - side, image.shape[1] - side
    corners = [(0, 0), (0, right), (below, 0), (below, right), (below // 2, right // 2)]
    return [image[y : y + side, x : x + side] for y, x in corners]


def test_single_and_flip(runs):
    seen = asked(runs[0], SIZE, SIZE)
    compare(runs[0], seen, lambda image: [(image, 1.0)], "single")
    compare(runs[0], seen, lambda image: mirror_too([image]), "flip")


def test_single_sees_the_centre_of_a_larger_image(runs):
    compare(runs[0], asked(runs[0], 25, 30), lambda image: [(image[2:22, 5:25], 1.0)], "single")


def test_views_of_the_speedrun(runs):
    def views(image):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        moved = [(padded[2:, 2:], 1 / 8), (padded[:-2, :-2], 1 / 8), (image, 1 / 4)]
        return moved + [(crop[:, ::-1], weight) for crop, weight in moved]

    compare(runs[0], asked(runs[0], SIZE, SIZE), views, "views")


def test_ten_crop(runs):
    compare(runs[0], asked(runs[0], 24, 27), lambda image: mirror_too(five(image, SIZE)), "ten_crop")


@pytest.mark.parametrize(("height", "width", "count"), [(26, 26, 24), (26, 33, 72)])
def test_multi_crop(runs, height, width, count):
    def views(image):
        crops = []
        for side in (22, 26):
            scaled = np.asarray(protocols.resized(image[None], side))[0]
            longest = max(scaled.shape[:2])
            for start in sorted({0, (longest - side) // 2, longest - side}):
                square = scaled[:, start : start + side]
                whole = jnp.asarray(square[None], jnp.float32)
                crops += [*five(square, SIZE), np.asarray(protocols.resized(whole.astype(jnp.uint8), SIZE))[0]]
        return mirror_too(crops)

    assert len(views(np.zeros((height, width, 3), np.uint8))) == count
    compare(runs[0], asked(runs[0], height, width, 2), views, "multi_crop", scales=(22, 26))


def positions(run, image):
    """Mean of the scores over all crops at steps of the network's stride, 4; then softmax.

    Of its 20 pixels the network sees 18, for pooling leaves out what fills no window.
    """
    rows, columns = (range(0, side - 18 + 1, 4) for side in image.shape[:2])
    return softmax(np.mean([scores(run, image[y : y + SIZE, x : x + SIZE]) for y in rows for x in columns], axis=0))


def test_dense_is_the_mean_over_all_crops(runs):
    seen = asked(runs[0], 28, 33)
    found = evaluate([runs[0]], seen, "dense").answers.probability
    images = np.asarray(seen.parts["test"].image)
    expected = [(positions(runs[0], im) + positions(runs[0], im[:, ::-1])) / 2 for im in images]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_multi_scale_is_dense_at_each_scale(runs):
    seen = asked(runs[0], 22, 25, 3)
    found = evaluate([runs[0]], seen, "multi_scale", scales=(20, 28)).answers.probability
    images = np.asarray(seen.parts["test"].image)
    expected = []
    for image in images:
        scaled = [np.asarray(protocols.resized(image[None], side))[0] for side in (20, 28)]
        views = [view for size in scaled for view in (size, size[:, ::-1])]
        expected.append(np.mean([positions(runs[0], view) for view in views], axis=0))
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("model", [LENET, "vgg:small,num_classes=7,head_features=(16,),features=(4,4,4,4,4)", "mlp:5"])
def test_dense_on_one_crop_is_the_network_itself(model, tmp_path):
    size = 32 if model.startswith("vgg") else SIZE
    run = load(workdir(tmp_path / "w", model, dataset(size)))
    seen = asked(run, size, size)
    flip, dense = (evaluate([run], seen, name).answers.probability for name in ("flip", "dense"))
    np.testing.assert_allclose(dense, flip, atol=1e-6)


def test_a_network_of_global_pooling_sees_any_size(pooled):
    seen = asked(pooled, 24, 24)
    assert evaluate([pooled], seen, "ten_crop", crop=17).scores()["n"] == 7
    direct = np.asarray(pooled.predict(np.zeros((1, SIZE, SIZE, 3), np.uint8)))
    assert direct.shape == (1, 7)
    dense = evaluate([pooled], seen, "dense").answers.probability
    images = np.asarray(seen.parts["test"].image)
    both = [softmax(np.asarray(pooled.logits(pooled.variables, x))[0]) for x in (images[:1], images[:1, :, ::-1])]
    np.testing.assert_allclose(dense[0], np.mean(both, axis=0), atol=1e-6)


def test_ensemble_is_the_mean_of_probabilities(runs):
    seen = asked(runs[0], 24, 24)
    found = evaluate(runs, seen, "ten_crop")
    images = np.asarray(seen.parts["test"].image)
    expected = [
        np.mean([probabilities(run, crop) for run in runs for crop, _ in mirror_too(five(image, SIZE))], axis=0)
        for image in images
    ]
    np.testing.assert_allclose(found.answers.probability, expected, atol=2e-6)
    assert found.identity["members"] == 2
    np.testing.assert_array_equal(found.answers.label, seen.label("test"))


def test_resizing_is_pillows():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (23, 31, 3), dtype=np.uint8)
    for side in (12, 23, 40):
        ours = np.asarray(protocols.resized(image[None], side))[0].astype(int)
        theirs = Image.fromarray(image).resize((ours.shape[1], ours.shape[0]), Image.Resampling.BILINEAR)
        assert min(ours.shape[:2]) == side
        assert np.abs(ours - np.asarray(theirs)).max() <= 1


@pytest.mark.parametrize(
    ("name", "image", "options", "words"),
    [
        ("eleven_crop", (20, 20), {}, "use one of single, flip"),
        ("ten_crop", (20, 20), {}, "smaller than the images, which are 20x20: use a smaller --crop"),
        ("ten_crop", (24, 24), {"crop": 28}, "a crop of 28x28 does not fit into the images, which are 24x24"),
        ("multi_crop", (24, 24), {"scales": (20,)}, "smaller than the squares of 20x20"),
        ("multi_scale", (24, 24), {"scales": (20, 20)}, "different numbers"),
        ("single", (24, 24), {"scales": (20,)}, "means nothing to --protocol=single"),
        ("dense", (24, 24), {"crop": 20}, "sees whole images"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, image, options, words):
    with pytest.raises(ConfigError, match=words):
        protocols.protocol(name, (20, 20), image, **options)


def test_networks_that_cannot_are_refused(runs, pooled, tmp_path):
    larger = asked(runs[0], 24, 24)
    with pytest.raises(ConfigError, match="fc1/kernel has weights for that size alone, not for 17x17"):
        evaluate([runs[0]], larger, "single", crop=17)
    with pytest.raises(ConfigError, match="cannot see images of 17x24"):
        evaluate([runs[0]], asked(runs[0], 24, 17), "dense")
    with pytest.raises(ConfigError, match="cannot see images of 3x3"):
        evaluate([pooled], larger, "single", crop=3)
    grey = dataset(16, 1, classes=tuple("0123456789"))
    zip_code = load(workdir(tmp_path / "1989", "lenet:1989", grey))
    wide = dataclasses.replace(asked(zip_code, 20, 20), channels=1)
    with pytest.raises(ConfigError, match="H1/bias depends on the size"):
        evaluate([zip_code], wide, "dense")
    with pytest.raises(ConfigError, match="knows other classes"):
        check_together([runs[0], zip_code])


def test_scales_are_the_papers_in_proportion():
    assert protocols.protocol("multi_scale", (224, 224), (300, 300)).scales == (224, 256, 288)
    assert protocols.protocol("multi_crop", (224, 224), (300, 400)).count((300, 400)) == 144
    assert protocols.protocol("multi_scale", (32, 32), (32, 32)) == Protocol("multi_scale", None, (32, 37, 41))


def test_the_command_line_offers_every_protocol():
    assert protocols.NAMES == PROTOCOLS
