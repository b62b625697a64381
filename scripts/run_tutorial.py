"""Runs the commands of a page in an empty folder, and puts what they print under them.

    python scripts/run_tutorial.py [--page=docs/tutorial.md] [--folder=DIR]

A block of Python with `title="FILE"` is written to FILE, a block of `sh` is run, and the block of `text` under it
becomes what it printed on standard output. The first block of shell makes the environment: this script is run
in it. The page is written after every block; one that fails ends the run. In a folder where some of it was run before,
commands go on as they do for everybody.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = re.compile(r"^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(page: Path, folder: Path) -> None:
    """Puts the outputs of a page's commands into it.

    Args:
        page: the file.
        folder: where its files are written and its commands run.

    Raises:
        SystemExit: a block of shell failed; its standard error has been shown.
    """
    text, end, printed, shells = page.read_text(encoding="utf-8"), 0, None, 0
    while block := BLOCK.search(text, end):
        end = block.end()
        if block["title"]:
            (folder / block["title"]).write_text(block["body"], encoding="utf-8")
        elif block["kind"] == "sh":
            shells += 1
            printed = _run(block["body"], folder) if shells > 1 else None
        elif block["kind"] == "text" and printed is not None:
            text = text[: block.start("body")] + printed + text[block.end("body") :]
            end, printed = block.start("body") + len(printed) + len("```"), None
            page.write_text(text, encoding="utf-8")


def _run(commands: str, folder: Path) -> str:
    started = time.monotonic()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    print(f"{time.monotonic() - started:6.1f} s  {commands.strip()}", flush=True)
    if done.returncode:
        raise SystemExit(f"run_tutorial: exit status {done.returncode}: {commands.strip()}")
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", type=Path, default=Path("docs/tutorial.md"))
    parser.add_argument("--folder", type=Path, help="where to run; by default a temporary folder")
    options = parser.parse_args()
    if options.folder is None:
        with tempfile.TemporaryDirectory() as scratch:
            run_page(options.page, Path(scratch))
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        run_page(options.page, options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
