"""Builds the notebooks of `notebooks/` and executes them; with `--figures` keeps the figures that the docs show.

    python scripts/run_notebooks.py [--output=runs/notebooks] [--figures] [NUMBER or NAME ...]

A notebook is a script in jupytext's percent format. Each is executed by a kernel of its own, in an empty folder, and
written with its outputs to `OUTPUT/NAME.ipynb`. A cell that raises or warns fails. Cells tagged `figure` end with a
figure of `docs/notebooks.md`.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
FIGURES = ROOT / "docs" / "notebooks"
CELL_SECONDS = 1800  # a cell takes seconds, except on a machine that is busy with something else


def find(names: list[str]) -> list[Path]:
    """The scripts called so, by name or by the beginning of it; all if none is named."""
    files = sorted(NOTEBOOKS.glob("*.py"))
    unknown = [name for name in names if not any(file.name.startswith(name) for file in files)]
    if unknown:
        sys.exit(f"no notebook {', '.join(unknown)}: there are {', '.join(file.stem for file in files)}")
    return [file for file in files if not names or any(file.name.startswith(name) for name in names)]


def execute(file: Path) -> Any:
    """The notebook with its outputs; a cell that warns is named, and ends this."""
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.read(file)
    # The package of this checkout, whatever is installed.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with tempfile.TemporaryDirectory() as folder:
        options = {"timeout": CELL_SECONDS, "kernel_name": "python3", "resources": {"metadata": {"path": folder}}}
        # Else each kernel says that it listens on a local port.
        client = NotebookClient(notebook, extra_arguments=["--log-level=ERROR"], **options)
        client.execute(env=environment)
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", ()):
            # XLA writes there as well, of machines that are busy.
            if output.get("name") == "stderr" and "Warning" in output.text:
                sys.exit(f"{file.name}: cell {number} warns:\n{cell.source}\n---\n{output.text}")
    return notebook


def keep_figures(notebook: Any, name: str) -> list[Path]:
    """Writes what the tagged cells show to docs/notebooks/, without what changes from one machine to another."""
    from PIL import Image

    tagged = [cell for cell in notebook.cells if "figure" in cell.metadata.get("tags", ())]
    written = []
    for number, cell in enumerate(tagged, 1):
        pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
        if not pictures:
            sys.exit(f"{name}: a cell is tagged figure and shows none:\n{cell.source}")
        file = FIGURES / (f"{name}.png" if len(tagged) == 1 else f"{name}_{number}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(base64.b64decode(pictures[-1]))) as image:
            # A palette halves the file, and nobody sees it.
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
        written.append(file)
    return written


def main() -> None:
    """Executes what was asked for, one after another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="such as 03 or 03_translation; all if none is given")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "notebooks", help="where the .ipynb are written")
    parser.add_argument("--figures", action="store_true", help="write docs/notebooks/*.png, too")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    import nbformat

    for file in find(options.names):
        started = time.perf_counter()
        notebook = execute(file)
        nbformat.write(notebook, options.output / f"{file.stem}.ipynb")
        figures = keep_figures(notebook, file.stem) if options.figures else []
        kept = "".join(f", {figure.relative_to(ROOT)}" for figure in figures)
        print(f"{file.stem}: {time.perf_counter() - started:.0f} s{kept}", flush=True)


if __name__ == "__main__":
    main()
