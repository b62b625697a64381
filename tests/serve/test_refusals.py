"""Every request that is not answered: the status, one sentence, and nothing kept of it."""

from __future__ import annotations

import asyncio
import io
import struct
import threading
import zlib

import httpx2 as httpx
import jax
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cnn_jax.serve.app import create_app
from cnn_jax.serve.limits import Limits
from cnn_jax.serve.viewer import Viewer
from tests.serve.conftest import photograph, png

BASE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def client(viewer):
    with TestClient(create_app(viewer, limits=Limits(upload=2**18)), base_url=BASE) as client:
        yield client


def refused(response: httpx.Response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.json()["error"]
    assert "\n" not in response.json()["error"]


def saved(image: Image.Image, form: str, **options) -> bytes:
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A small PNG that says it has so many pixels, its checksum right."""
    small = png(photograph(8, 8))
    header = b"IHDR" + struct.pack(">II", width, height) + small[24:29]
    return small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]


def test_larger_files_than_allowed(client):
    words = "E-DATA-301: the file is larger than 0.25 MiB"
    refused(client.post("/api/predict", content=bytes(2**18 + 1)), 413, words)

    def endless():
        # No length is told; it is refused by what has come, long before the end.
        for _ in range(1000):
            yield bytes(2**14)

    refused(client.post("/api/predict", content=endless()), 413, words)
    refused(client.post("/api/predict", content=b"x", headers={"content-length": "9" * 30}), 413, words)
    refused(client.post("/api/predict", content=bytes(2**18)), 422, "E-DATA-300: the file is not an image")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello, world" * 40, "is not an image, whatever its name says"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
        (png(photograph())[:-900], "is broken or truncated"),
        (claiming(8192, 8192), "is too large (8192x8192 pixels, allowed are 32 megapixels)"),
        (claiming(2**31 - 1, 2**31 - 1), "is too large (far more pixels, allowed are 32 megapixels)"),
        (saved(Image.new("L", (2**13, 2**12 + 1)), "PNG"), "is too large (8192x4097 pixels"),
    ],
    ids=["text", "svg", "eps", "truncated", "claimed", "claimed far more", "bomb"],
)
def test_files_that_are_no_usable_image(client, content, words):
    refused(client.post("/api/predict", content=content), 422, "E-DATA-300: the file ")
    refused(client.post("/api/predict", content=content), 422, words)


def test_films_and_nothing(client):
    frames = [Image.fromarray(photograph(9, 9, seed)) for seed in (1, 2)]
    film = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    refused(client.post("/api/predict", content=film), 422, "holds 2 frames, not one image")
    refused(client.post("/api/predict"), 400, "E-DATA-304: the request holds no image")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("class=4", "E-CONF-392: class=4 is none of this network's 4: use 0 to 3"),
        ("class=-1", "E-DATA-309: class is not a number"),
        ("class=²", "E-DATA-309"),
        ("class=" + "9" * 5000, "E-DATA-309"),
        ("tap=fc1", "E-CONF-232: --tap=fc1 has no feature maps: use one of pool1, pool2"),
        ("tap=../../etc/passwd", "E-CONF-232"),
    ],
)
def test_classes_and_taps_that_are_none(client, query, words):
    refused(client.post(f"/api/predict?{query}", content=png(photograph())), 400, words)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/predict", "POST"),
        ("PUT", "/api/predict", "POST"),
        ("POST", "/", "GET"),
        ("DELETE", "/train/0.png", "GET"),
    ],
)
def test_other_methods(client, method, path, allowed):
    response = client.request(method, path)
    refused(response, 405, "this address takes another method")
    assert allowed in response.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/index.html",
        "/api/predict/",
        "/train/",
        "/train/.png",
        "/train/-1.png",
        "/train/1e1.png",
        "/train/99999999.png",
        "/train/" + "9" * 6000 + ".png",
        "/train/²2.png",
        "/train/../../../../etc/passwd",
        "/train/..%2f..%2f..%2fetc%2fpasswd.png",
        "/train/%2e%2e/%2e%2e/etc/passwd.png",
        "/train//etc/passwd.png",
        "/train/0.png%00.txt",
        "/..%5c..%5cconfig.json",
        "/config.json",
        "/templates/page.js",
    ],
)
def test_no_path_leads_out(client, path):
    refused(client.get(path), 404, "E-DATA-306: ")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "[::1", "a b"]
)
def test_other_names_for_this_machine(client, host):
    """DNS rebinding: a page of another name whose address has become 127.0.0.1."""
    for path in ("/", "/api/run", "/train/0.png"):
        assert client.get(path, headers={"host": host}).status_code == 400
    assert client.post("/api/predict", content=png(photograph()), headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:81"])
def test_own_names(client, host):
    """Any port: there may be a tunnel in between."""
    assert client.get("/api/run", headers={"host": host}).status_code == 200


def test_a_server_that_listens_at_ipv6(viewer):
    client = TestClient(create_app(viewer, hosts=("[::1]",)), base_url="http://[::1]:8000")
    assert client.get("/api/run").status_code == 200
    assert client.get("/api/run", headers={"host": "[::2]:8000"}).status_code == 400


def test_pages_from_elsewhere_may_not_send(client):
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8000"):
        response = client.post("/api/predict", content=png(photograph()), headers={"origin": origin})
        refused(response, 403, "E-DATA-305")
    own = client.post("/api/predict", content=png(photograph()), headers={"origin": BASE})
    assert own.status_code == 200


def test_every_answer_forbids_the_browser_what_it_does_not_need(client):
    answers = [
        client.get("/"),
        client.get("/api/run"),
        client.get("/train/0.png"),
        client.get("/nothing"),
        client.get("/api/predict"),
        client.post("/api/predict", content=b"x"),
        client.get("/", headers={"host": "evil.example"}),
    ]
    for response in answers:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert response.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in response.headers
        assert "set-cookie" not in response.headers


class Busy:
    """A viewer that works for as long as it is told to."""

    searched = None

    def __init__(self):
        self.working, self.go_on, self.most, self.lock = 0, threading.Event(), 0, threading.Lock()

    def answer(self, upload, max_pixels, label=None, tap=None):
        with self.lock:
            self.working += 1
            self.most = max(self.most, self.working)
        self.go_on.wait(20)
        with self.lock:
            self.working -= 1
        return {}


def test_no_more_at_once_than_there_are_places():
    busy = Busy()
    app = create_app(busy, limits=Limits(at_once=2))  # type: ignore[arg-type]

    async def abuse():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
            first = [asyncio.create_task(client.post("/api/predict", content=b"x")) for _ in range(2)]
            while busy.working < 2:
                await asyncio.sleep(0.005)
            crowd = await asyncio.gather(*(client.post("/api/predict", content=b"x") for _ in range(40)))
            page = await client.get("/")
            busy.go_on.set()
            return await asyncio.gather(*first), crowd, page, await client.post("/api/predict", content=b"x")

    first, crowd, page, after = asyncio.run(asyncio.wait_for(abuse(), 20))
    assert [response.status_code for response in first] == [200, 200]
    for response in crowd:
        refused(response, 503, "E-DATA-302: 2 images are being worked on, and no more are taken: try again in a second")
        assert response.headers["retry-after"] == "1"
    assert page.status_code == 200
    assert after.status_code == 200
    assert busy.most == 2


async def sent(app, messages) -> list[dict]:
    """What an application answers to a POST whose body comes as these messages; None is a body that never ends."""
    came, answer = iter(messages), []

    async def receive():
        message = next(came)
        if message is None:
            await asyncio.sleep(60)
        return message

    async def send(message):
        answer.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/predict", "raw_path": b"/api/predict", "query_string": b"",
        "headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http", "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    return answer


def test_senders_that_dawdle_or_leave_give_their_place_back():
    busy = Busy()
    busy.go_on.set()
    app = create_app(busy, limits=Limits(at_once=1, seconds=0.1))  # type: ignore[arg-type]
    part = {"type": "http.request", "body": b"x", "more_body": True}
    whole = {"type": "http.request", "body": b"x", "more_body": False}
    slow = asyncio.run(sent(app, [part, None]))
    assert slow[0]["status"] == 408
    assert b"E-DATA-303: the image has not arrived within 0.1 s" in slow[1]["body"]
    assert asyncio.run(sent(app, [part, {"type": "http.disconnect"}]))[0]["status"] == 400
    assert busy.most == 0
    assert asyncio.run(sent(app, [part, whole]))[0]["status"] == 200


def test_a_fault_of_the_server_tells_nothing_of_it():
    class Broken(Busy):
        def answer(self, upload, max_pixels, label=None, tap=None):
            raise RuntimeError("/secret/path")

    app = create_app(Broken(), limits=Limits(at_once=1))  # type: ignore[arg-type]
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        for _ in range(2):
            response = client.post("/api/predict", content=b"x")
            refused(response, 500, "the server is at fault (RuntimeError): see its terminal")
            assert response.headers["x-content-type-options"] == "nosniff"


def test_a_network_that_gives_no_numbers(run):
    import dataclasses

    broken = dataclasses.replace(run, variables=jax.tree.map(lambda leaf: leaf * np.float32(np.nan), run.variables))
    with TestClient(create_app(Viewer(broken)), base_url=BASE) as client:
        refused(client.post("/api/predict", content=png(photograph())), 422, "E-DATA-308: this network gives no finite")
