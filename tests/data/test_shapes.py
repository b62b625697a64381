"""`shapes` is a pure function of (seed, split, index), and frozen."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from cnn_jax.data.shapes import CLASSES, VERSION, draw, render
from cnn_jax.errors import DataError

FROZEN = "the images of shapes are frozen: a change of them is another data set; give it another VERSION and name"
GOLDEN_INDICES = [0, 1, 2, 3, 17, 4999]
GOLDEN = {
    32: {
        "image": "17c82557b5738765",
        "label": "d89979d6138de512",
        "mask": "97b39553f7ace130",
        "instance": "6dd7288c6b42dfbb",
        "boxes": "da0fdd3fb0ecdcca",
        "box_label": "c11dadcc4e847598",
        "depth": "cf99c8f1cbdf3c7e",
        "image2": "1ece1112f695e99e",
        "flow": "52643c9039a31ed1",
        "visible": "4acdfbc069e06544",
    },
    64: {
        "image": "fd46e48e44a53cc3",
        "label": "d89979d6138de512",
        "mask": "59256aecb115afda",
        "instance": "675b22c162cb5176",
        "boxes": "6a7c8be7f8ef5ea3",
        "box_label": "c11dadcc4e847598",
        "depth": "9c66e56ad8373f44",
        "image2": "2573a4c97fa6c6c8",
        "flow": "66dc2d63ec5e3f8f",
        "visible": "eb8066c925df4e52",
    },
}


def digests(size):
    example = render(GOLDEN_INDICES, split="train", size=size, pairs=True)
    return {name: hashlib.sha256(values.tobytes()).hexdigest()[:16] for name, values in example.items()}


@pytest.mark.parametrize("size", [32, 64])
def test_frozen(size):
    assert VERSION == "1.0.0", FROZEN
    assert digests(size) == GOLDEN[size], FROZEN


def test_same_in_every_batch():
    together = render(range(150), split="test", pairs=True)
    alone = [render([index], split="test", pairs=True) for index in (0, 63, 64, 149)]
    backwards = render(range(149, -1, -1), split="test", pairs=True)
    for name, values in together.items():
        for index, one in zip((0, 63, 64, 149), alone, strict=True):
            np.testing.assert_array_equal(values[index], one[name][0], err_msg=name)
        np.testing.assert_array_equal(values, backwards[name][::-1], err_msg=name)


def test_same_in_threads_and_processes_and_without_vector_instructions():
    features = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    code = (
        "import hashlib; from cnn_jax.data.shapes import render; "
        "print(hashlib.sha256(render(range(40), split='train')['image'].tobytes()).hexdigest())"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for environment in ({"PYTHONHASHSEED": "1"}, {"NPY_DISABLE_CPU_FEATURES": " ".join(features)})
    ]
    with ThreadPoolExecutor(4) as pool:
        images = pool.map(lambda start: render(range(start, start + 10), split="train")["image"], range(0, 40, 10))
    here = hashlib.sha256(np.concatenate(list(images)).tobytes()).hexdigest()
    assert printed == [here, here]


def test_seed_split_and_index_all_matter():
    first = render([5], split="train")["image"]
    for other in (render([5], split="test"), render([5], split="train", seed=1), render([6], split="train")):
        assert (first != other["image"]).mean() > 0.5
    images = render(range(2000), split="train", size=8)["image"].reshape(2000, -1)
    assert len(np.unique(images, axis=0)) == 2000


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_balanced_and_unordered(split):
    label = render(range(4000), split=split, size=8)["label"]
    np.testing.assert_array_equal(np.bincount(label), np.full(len(CLASSES), 400))
    assert abs(np.corrcoef(label[:-1], label[1:])[0, 1] + 1 / 10) < 0.05  # blocks of ten without repetition: -1/10
    assert len(set(map(tuple, label.reshape(-1, 10)))) > 390


def test_sizes_show_the_same_scene():
    small, large = render(range(64), split="train"), render(range(64), split="train", size=64)
    np.testing.assert_array_equal(small["label"], large["label"])
    halved = large["image"].reshape(64, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small["image"]).mean() < 10


def test_the_generator_is_splitmix64():
    # The first outputs for the seed 1234567, as published with the reference implementation's ports.
    state = np.array([1234567], np.uint64)
    outputs = [draw.mix(state + np.uint64((k * 0x9E3779B97F4A7C15) % 2**64))[0] for k in range(1, 6)]
    assert [int(x) for x in outputs] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_draws_are_uniform_and_independent():
    keys = draw.example_keys(np.arange(20_000), seed=0, split=0)
    draws = np.stack([draw.uniform(keys, slot) for slot in range(8)])
    assert np.abs(np.quantile(draws, [0.1, 0.5, 0.9], axis=1).T - [0.1, 0.5, 0.9]).max() < 0.015
    assert np.abs(np.corrcoef(draws) - np.eye(8)).max() < 0.03
    assert np.abs([np.corrcoef(row[1:], row[:-1])[0, 1] for row in draws]).max() < 0.03


def test_sine_and_cosine():
    turns = np.linspace(-3, 3, 10_001)
    np.testing.assert_allclose(draw.sine(turns), np.sin(2 * np.pi * turns), atol=1e-7)
    np.testing.assert_allclose(draw.cosine(turns), np.cos(2 * np.pi * turns), atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ({"indices": [0], "split": "validation"}, 70),
        ({"indices": [-1], "split": "train"}, 71),
        ({"indices": [0.5], "split": "train"}, 71),
        ({"indices": [[0]], "split": "train"}, 71),
        ({"indices": [0], "split": "train", "size": 4}, 72),
        ({"indices": [0], "split": "train", "seed": -1}, 72),
    ],
)
def test_bad_arguments(arguments, number):
    with pytest.raises(DataError) as error:
        render(**arguments)
    assert error.value.number == number


def test_no_examples():
    empty = render([], split="train", pairs=True)
    assert empty["image"].shape == (0, 32, 32, 3)
    assert empty["flow"].shape == (0, 32, 32, 2)
