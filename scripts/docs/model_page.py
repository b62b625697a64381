"""The networks, from the table of `cnn_jax/models`, and the keywords of each family."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import typing
from typing import Any

from cnn_jax import models
from cnn_jax.main import main
from cnn_jax.models.keywords import _words
from scripts.docs.markdown import code, table, words

_INTRODUCTION = """# Models

A name is `family:variant`; a bare family is its default. Keywords go after it, as in `vgg:A,width=0.25,num_classes=10`,
or into `config.model`. `cnn-jax show NAME` prints the layers, `cnn-jax show NAME --provenance` where the paper says so.
MACs are multiply-accumulates of one image; RF is the receptive field of the last feature map, in pixels.
"""


def catalogue() -> list[dict[str, Any]]:
    """What `cnn-jax models --json` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["models", "--json"]) == 0
    return json.loads(printed.getvalue())


def model_page() -> str:
    """The page."""
    parts = [_INTRODUCTION]
    rows = catalogue()
    for family, row in models.FAMILIES.items():
        members = [entry for entry in rows if entry["family"] == family]
        parts.append(f"\n## {family}\n\n{words(row.paper)}, {row.year}. Default: `{family}:{row.default}`.")
        parts.append(f" Also {words(row.others)}.\n\n" if row.others else "\n\n")
        parts.append(
            table(
                ("name", "year:", "input:", "classes:", "parameters:", "MACs:", "RF:"),
                [
                    (
                        code(entry["name"]),
                        str(entry["year"]),
                        "×".join(map(str, entry["input"])),
                        f"{entry['num_classes']:,}",
                        f"{entry['parameters']:,}",
                        f"{entry['macs']:,}",
                        field(entry["receptive_field"]),
                    )
                    for entry in members
                ],
            )
        )
        parts.append(f'\n??? note "Keywords of {family}"\n\n')
        parts.append("".join(f"    {line}\n" if line else "\n" for line in keywords(family).splitlines()))
    return "".join(parts)


def field(pixels: float | list[float] | None) -> str:
    """A receptive field in a cell: whole numbers without a point, nothing where there is no feature map."""
    if pixels is None:
        return ""
    return "×".join(
        f"{side:,g}" if side < 1e6 else f"{side:,.0f}"
        for side in ([pixels] if isinstance(pixels, int | float) else pixels)
    )


def keywords(family: str) -> str:
    """What can be changed: the words of the class, and every keyword with what is legal and its default."""
    file, name = models.FAMILIES[family].model.split(".")
    cls = getattr(importlib.import_module(f"cnn_jax.models.{file}"), name)
    hints = typing.get_type_hints(cls)
    defaults = models.keywords(family)
    doc = inspect.cleandoc(cls.__doc__ or "").removeprefix("Keywords.").strip()
    rows = [(code(key), code(repr(value)), words(_words(hints[key]))) for key, value in defaults.items()]
    return f"{doc}\n\n" + table(("keyword", "default", "legal"), rows)
