"""The page in a real browser, clicked through as a person would. Skipped where there is no Chromium."""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("playwright")

import uvicorn
from playwright.sync_api import Page, expect, sync_playwright

from cnn_jax.evaluate.images import as_network_takes
from cnn_jax.serve.app import create_app
from cnn_jax.serve.limits import Limits
from cnn_jax.serve.server import listen
from tests.serve.conftest import CLASSES, HOSTILE, photograph, png

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
# For machines with much else to do; what comes at once is not waited for.
expect.set_options(timeout=120_000)
LOADED = "images => images.length > 0 && images.every(image => image.complete && image.naturalWidth > 0)"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")


@contextmanager
def live(app):
    """The application at a free port of this machine."""
    with listen("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # Containers run as root, where the sandbox refuses to start; the page is our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(viewer):
    for tap in viewer.taps:
        viewer.answer(png(photograph()), 2**20, tap=tap)  # compiled here, so that pages need not wait for it
    with live(create_app(viewer, limits=Limits(upload=2**18))) as address:
        yield address


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(120_000)
    page.faults = []
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("dialog", lambda dialog: (page.faults.append(dialog.message), dialog.dismiss()))
    page.goto(address)
    yield page
    page.close()


def choose(page: Page, content: bytes, name: str = "photograph.png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def likeliest(run, image) -> str:
    return CLASSES[int(run.predict(as_network_takes(image, run, "it")).argmax())]


def test_choosing_a_file_shows_everything(page, run):
    expect(page.locator("#about")).to_contain_text("lenet, step 3: trained on folder:")
    choose(page, png(photograph()))
    best = likeliest(run, photograph())
    expect(page.locator("#status")).to_contain_text(f"photograph.png: {best}, ")
    expect(page.locator("#classes .name").first).to_have_text(best)
    assert sorted(page.locator("#classes .name").all_inner_texts()) == sorted(CLASSES)
    shares = [float(text.removesuffix(" %")) for text in page.locator("#classes .chance").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)
    widths = [bar["width"] for bar in (one.bounding_box() for one in page.locator("#classes .track i").all())]
    track = page.locator("#classes .track").first.bounding_box()["width"]
    assert widths == pytest.approx([share / 100 * track for share in shares], abs=2)
    for pictures, count in (("#seen", 1), ("#under", 1), ("#heat", 1), ("#near img", 6)):
        expect(page.locator(pictures)).to_have_count(count)
        page.wait_for_function(f"() => ({LOADED})([...document.querySelectorAll('{pictures}')])")
    expect(page.locator("#seen-note")).to_have_text("20×20 pixels of 50×31, as the network is given it")
    # A class's name is text, whatever it holds.
    expect(page.locator("#classes")).to_contain_text(HOSTILE)
    expect(page.locator('img[src="x"]')).to_have_count(0)
    assert page.faults == []


def test_another_class_and_another_tap_by_keyboard_alone(page, run):
    choose(page, png(photograph()))
    expect(page.locator("#heat-note")).to_have_text(f"what speaks for {likeliest(run, photograph())}")
    page.locator("#file").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    second = page.locator("#classes .name").nth(1).inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#heat-note")).to_have_text(f"what speaks for {second}")
    expect(page.locator("#classes button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#classes button").nth(0)).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#classes button").nth(1)).to_be_focused()
    page.select_option("#tap", "pool2")
    expect(page.locator("#where-note")).to_contain_text("pool2")
    expect(page.locator("#heat-note")).to_have_text(f"what speaks for {second}")
    assert page.faults == []


def test_dropping_and_pasting(page, run):
    for event, seed in (("drop", 6), ("paste", 7)):
        page.evaluate(
            """([event, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
                document.body.dispatchEvent(event === "drop"
                  ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                  : new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
            }""",
            [event, list(png(photograph(20, 20, seed)))],
        )
        name = "dropped.png" if event == "drop" else "The pasted image"
        expect(page.locator("#status")).to_contain_text(f"{name}: {likeliest(run, photograph(20, 20, seed))}")
        expect(page.locator("#seen-note")).to_have_text("as it was sent")
    assert page.faults == []


def test_what_is_no_image_is_said_and_the_page_goes_on(page):
    choose(page, b"no image at all", "letter.txt")
    expect(page.locator("#fault")).to_contain_text("E-DATA-300: the file is not an image")
    expect(page.locator("#answer")).to_be_hidden()
    choose(page, np.random.default_rng(0).bytes(2**18 + 1), "film.mkv")
    expect(page.locator("#fault")).to_have_text("film.mkv is 0.3 MiB large: files up to 0.3 MiB are taken.")
    choose(page, png(photograph()))
    expect(page.locator("#answer")).to_be_visible()
    expect(page.locator("#fault")).to_be_empty()


def test_a_busy_server_is_asked_again(page, run):
    sent_away = []

    def once(route):
        if sent_away:
            route.continue_()
        else:
            sent_away.append(route.request.url)
            route.fulfill(status=503, json={"error": "E-DATA-302: busy"})

    page.route("**/api/predict?*", once)
    choose(page, png(photograph()))
    expect(page.locator("#status")).to_contain_text(f"photograph.png: {likeliest(run, photograph())}, ")
    expect(page.locator("#fault")).to_be_empty()
    assert len(sent_away) == 1


def test_the_policy_stops_scripts_that_are_not_the_pages_own(page):
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.strange = true";
            document.body.append(script);
        }"""
    )
    assert page.evaluate("() => window.strange") is None
    assert any("Content Security Policy" in fault for fault in page.faults)


def test_a_narrow_window_has_nothing_beside_it(page):
    page.set_viewport_size({"width": 360, "height": 800})
    choose(page, png(photograph()))
    expect(page.locator("#near img")).to_have_count(6)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
