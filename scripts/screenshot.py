"""Renders a report into a PNG with a headless Chromium: `scripts/screenshot.py [REPORT [PNG]] [--width=1200]`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # containers run as root, where the sandbox refuses to start; the page is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def screenshot(
    report: Path, image: Path, *, width: int = 1200, height: int = 1500, scale: float = 1.0, dark: bool = False
) -> None:
    """Renders a page into a PNG.

    Args:
        report: the HTML file.
        image: where the PNG goes; written whole or not at all.
        width: of the window, in CSS pixels.
        height: of the window, in CSS pixels; what is below is cut off.
        scale: image pixels for one CSS pixel.
        dark: whether the reader prefers dark colours.

    Raises:
        SystemExit: there is no browser or no report, or the browser wrote no picture.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(
            f"screenshot: no browser on PATH (looked for {', '.join(BROWSERS)}): install Debian's `chromium`"
        )
    if not report.is_file():
        raise SystemExit(f"screenshot: {report} is missing: `make history` writes it")
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        taken = Path(scratch, "page.png")
        # Chromium makes windows no narrower than 500 pixels: a narrower page is framed in one that wide and cut.
        address, frame = report.resolve().as_uri(), Path(scratch, "frame.html")
        if width < 500:
            frame.write_text(
                f'<body style="margin:0"><iframe src="{address}" width={width} height={height} style="border:0">'
            )
            address = frame.as_uri()
        command = [
            browser, *FLAGS, f"--user-data-dir={scratch}/profile", f"--window-size={width},{height}",
            f"--force-device-scale-factor={scale:g}", f"--screenshot={taken}",
            *(["--blink-settings=preferredColorScheme=0"] if dark else []), address,
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"screenshot: {browser} did not end within 120 s") from None
        if not taken.is_file():
            raise SystemExit(f"screenshot: {browser} wrote no picture:\n{done.stderr.strip()[-800:]}")
        _cut(taken, image, round(width * scale))


def _cut(taken: Path, image: Path, width: int) -> None:
    from PIL import Image

    partial = image.with_name(f".{image.name}.partial")
    with Image.open(taken) as picture:
        picture.convert("RGB").crop((0, 0, min(width, picture.width), picture.height)).save(
            partial, "PNG", optimize=True
        )
    partial.replace(image)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Renders a report into a PNG with a headless Chromium.")
    parser.add_argument("report", nargs="?", type=Path, default=Path("runs/history/report.html"))
    parser.add_argument("image", nargs="?", type=Path, default=Path("docs/report.png"))
    parser.add_argument("--width", type=int, default=1200, help="of the window, in CSS pixels")
    parser.add_argument("--height", type=int, default=1160, help="of the window, in CSS pixels")
    parser.add_argument("--scale", type=float, default=1.0, help="image pixels for one CSS pixel")
    parser.add_argument("--dark", action="store_true", help="as a reader who prefers dark colours sees it")
    options = parser.parse_args()
    screenshot(
        options.report, options.image,
        width=options.width, height=options.height, scale=options.scale, dark=options.dark,
    )  # fmt: skip
    print(options.image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
