"""What is answered is what `predict` and `inspect` say."""

from __future__ import annotations

import base64
import io
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import cnn_jax
from cnn_jax.data import load_dataset
from cnn_jax.errors import ConfigError, DataError
from cnn_jax.evaluate import examples
from cnn_jax.evaluate.images import read_images
from cnn_jax.inspect.gradcam import gradcam
from cnn_jax.inspect.neighbours import neighbours
from cnn_jax.inspect.network import as_network
from cnn_jax.serve import searched as searched_module
from cnn_jax.serve.app import create_app
from cnn_jax.serve.searched import Searched
from cnn_jax.serve.viewer import Viewer
from tests.evaluate.workdirs import dataset, folder, workdir
from tests.serve.conftest import CLASSES, photograph, png


@pytest.fixture(scope="module")
def client(viewer):
    with TestClient(create_app(viewer), base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture(scope="module")
def prepared(run, tmp_path_factory):
    """The photograph as `cnn-jax predict` reads it from a file."""
    file = tmp_path_factory.mktemp("one") / "photograph.png"
    file.write_bytes(png(photograph()))
    return read_images([file], run)[0]


def ask(client, image, **query):
    response = client.post("/api/predict", content=png(image), params=query)
    assert response.status_code == 200, response.text
    return response.json()


def pixels(address: str) -> np.ndarray:
    head, _, held = address.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(held))))


def test_probabilities_are_those_of_the_run(client, run, prepared):
    found = ask(client, photograph())
    chances = run.predict(prepared)
    order = np.argsort(-chances)
    assert [row["class"] for row in found["top5"]] == [CLASSES[i] for i in order]
    assert [row["label"] for row in found["top5"]] == order.tolist()
    np.testing.assert_array_equal([row["probability"] for row in found["top5"]], chances[order].astype(float))
    assert found["given"] == {"width": 50, "height": 31}
    np.testing.assert_array_equal(pixels(found["image"]), prepared)


@pytest.mark.parametrize("tap", ["pool1", "pool2"])
def test_the_map_is_that_of_inspect(client, run, prepared, tap):
    likeliest = int(run.predict(prepared).argmax())
    for label in (None, 1, 2):
        found = ask(client, photograph(), tap=tap, **({} if label is None else {"class": label}))["gradcam"]
        told = likeliest if label is None else label
        assert (found["label"], found["class"], found["tap"]) == (told, CLASSES[told], tap)
        assert found["probability"] == float(run.predict(prepared)[told])
        np.testing.assert_allclose(found["map"], gradcam(run, prepared[None], [told], tap)[0], rtol=1e-6)


def test_the_heat_is_bright_where_the_map_is_large(client):
    maps = [ask(client, photograph(seed=seed), tap="pool1", **{"class": 3})["gradcam"] for seed in range(4)]
    found = next(one for one in maps if np.max(one["map"]) > 0)
    weights, colours = np.asarray(found["map"]), pixels(found["heat"]).astype(int)
    assert colours.shape == (20, 20, 3)
    brightest = np.unravel_index(colours.sum(-1).argmax(), (20, 20))
    y, x = np.unravel_index(weights.argmax(), weights.shape)
    assert np.abs((np.array(brightest) + 0.5) / 20 - (np.array([y, x]) + 0.5) / weights.shape).max() < 1 / len(weights)
    # The darkest and the brightest colour of the map: nothing is black, the largest pale yellow.
    assert colours.sum(-1).min() < 20 or weights.min() > 0
    assert colours.sum(-1).max() > 500


def test_neighbours_are_those_of_inspect(client, run, prepared):
    found = ask(client, photograph())["neighbours"]
    train = examples(run, "train").parts["train"]
    wanted = neighbours(run, prepared[None], train.image)
    assert [row["train"] for row in found["nearest"]] == wanted.place[0].tolist()
    assert [row["label"] for row in found["nearest"]] == train.label[wanted.place[0]].tolist()
    assert [row["class"] for row in found["nearest"]] == [CLASSES[i] for i in train.label[wanted.place[0]]]
    np.testing.assert_allclose([row["distance"] for row in found["nearest"]], wanted.distance[0], rtol=1e-5)
    assert (found["tap"], found["done"], found["total"]) == ("fc2", len(train), len(train))


def test_training_images_are_sent_as_they_are_and_find_themselves(client, run):
    train = examples(run, "train").parts["train"].image
    for number in (0, 37, len(train) - 1):
        sent = client.get(f"/train/{number}.png")
        assert sent.headers["content-type"] == "image/png"
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sent.content))), train[number])
        first = ask(client, train[number])["neighbours"]["nearest"][0]
        assert first["distance"] < 1e-4
        np.testing.assert_array_equal(train[first["train"]], train[number])


def test_the_run_is_described(client, run):
    found = client.get("/api/run").json()
    assert found["model"] == run.config.model.name
    assert (found["step"], found["workdir"], found["image"]) == ("3", "lenet", [20, 20, 3])
    assert found["classes"] == list(CLASSES)
    assert (found["taps"], found["tap"]) == (["pool1", "pool2"], "pool1")
    assert found["limits"]["upload"] == 10 * 2**20
    assert str(run.workdir) not in client.get("/api/run").text


def test_neighbours_wait_for_all_features_and_the_rest_does_not(run):
    hold, seen = threading.Event(), []

    def tell(what, done, total):
        seen.append((done, total))
        hold.wait(20)

    searched = Searched(as_network(run), examples(run, "train"))
    viewer, total = Viewer(run, searched), len(searched)
    app = create_app(viewer, progress=lambda: nullcontext(tell))
    try:
        with TestClient(app, base_url="http://localhost") as client:
            deadline = time.monotonic() + 20
            while not seen and time.monotonic() < deadline:
                time.sleep(0.01)
            found = ask(client, photograph())
            assert len(found["top5"]) == len(CLASSES)
            assert found["neighbours"] == {"tap": "fc2", "done": 128, "total": total, "why_not": None, "nearest": None}
            hold.set()
            while not searched.complete and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(ask(client, photograph())["neighbours"]["nearest"]) == 6
    finally:
        hold.set()
    assert seen == [(128, total), (total, total)]


def test_stopping_ends_the_computation_and_starting_again_goes_on(run):
    searched = Searched(as_network(run), examples(run, "train"))
    searched.compute(lambda what, done, total: searched.stop())
    assert searched.done == 128
    assert searched.nearest(photograph(20, 20)) is None
    searched.start(lambda: nullcontext(lambda what, done, total: None))
    deadline = time.monotonic() + 20
    while not searched.complete and time.monotonic() < deadline:
        time.sleep(0.01)
    searched.stop()
    assert searched.complete


def test_features_that_cannot_be_computed_are_told_on_the_page(run, monkeypatch, caplog):
    for fault, words in (
        (DataError(140, "x.png is gone"), "E-DATA-140: x.png is gone"),
        (OSError(5), "see the terminal"),
    ):
        searched = Searched(as_network(run), examples(run, "train"))

        def broken(start, fault=fault):
            raise fault

        monkeypatch.setattr(searched, "image_batch", broken)
        with TestClient(create_app(Viewer(run, searched)), base_url="http://localhost") as client:
            searched.stop()
            found = ask(client, photograph())
        assert words in found["neighbours"]["why_not"]
        assert found["neighbours"]["nearest"] is None
        assert found["top5"]


def test_features_beyond_memory_are_refused(run, monkeypatch):
    monkeypatch.setattr(searched_module, "MEMORY", 2**12)
    with pytest.raises(DataError, match=r"E-DATA-307: 1.. training images have .* in fc2, .*--no_neighbours"):
        Searched(as_network(run), examples(run, "train"))


def test_networks_without_feature_maps_and_grey_images(tmp_path):
    data = f"folder:{folder(tmp_path / 'grey', dataset(12, channels=1, test=90, classes=('no', 'yes')))}"
    grey = load_dataset(data)
    mlp = cnn_jax.load(workdir(tmp_path / "mlp", "mlp:8", grey, data=data))
    searched = Searched(as_network(mlp), examples(mlp, "train"))
    searched.compute(lambda what, done, total: None)
    with TestClient(create_app(Viewer(mlp, searched)), base_url="http://localhost") as client:
        found = ask(client, photograph())
        assert found["gradcam"] is None
        assert [row["class"] for row in found["top5"]] in (["no", "yes"], ["yes", "no"])
        assert len(found["neighbours"]["nearest"]) == 6
        assert pixels(found["image"]).shape == (12, 12)
        assert client.get("/api/run").json()["taps"] == []
        assert np.asarray(Image.open(io.BytesIO(client.get("/train/0.png").content))).shape == (12, 12)


def test_without_neighbours_no_training_image_is_sent(run):
    with TestClient(create_app(Viewer(run, why_not="so it is")), base_url="http://localhost") as client:
        assert ask(client, photograph())["neighbours"] == {"why_not": "so it is"}
        assert client.get("/train/0.png").status_code == 404


def test_a_linear_classifier_has_nothing_to_search_by(tmp_path, images):
    data = f"folder:{images}"
    linear = cnn_jax.load(workdir(tmp_path / "linear", "linear", load_dataset(data), data=data))
    with pytest.raises(ConfigError, match="E-CONF-233"):
        Searched(as_network(linear), examples(linear, "train"))
