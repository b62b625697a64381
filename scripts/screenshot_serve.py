"""Renders the page of a running `cnn-jax serve` with an image chosen: `screenshot_serve.py ADDRESS IMAGE [PNG]`."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from screenshot import BROWSERS


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Renders the page of a running `cnn-jax serve` into a PNG.")
    parser.add_argument("address", help="what the server printed, such as http://127.0.0.1:8000/")
    parser.add_argument("chosen", type=Path, metavar="IMAGE", help="the image to choose")
    parser.add_argument("image", nargs="?", type=Path, default=Path("docs/serve.png"))
    parser.add_argument("--width", type=int, default=1200, help="of the window, in CSS pixels")
    parser.add_argument("--dark", action="store_true", help="as a reader who prefers dark colours sees it")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"screenshot_serve: no browser on PATH (looked for {', '.join(BROWSERS)})")
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        # Containers run as root, where the sandbox refuses to start; the page is our own.
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(
            viewport={"width": options.width, "height": 600}, color_scheme="dark" if options.dark else "light"
        )
        page.goto(options.address)
        page.set_input_files("#file", options.chosen)
        expect(page.locator("#near img")).to_have_count(6, timeout=120_000)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=options.image, full_page=True)
        chromium.close()
    print(options.image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
