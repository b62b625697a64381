"""The README cannot rot: its commands parse, its Python is Python, its links lead somewhere, its targets exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cnn_jax.main import _parser, split_overrides

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
LINES = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.strip()]


def test_the_two_commands_stand_on_the_first_screen():
    top = README.splitlines()[:25]
    assert "make history" in top
    assert "make test" in top


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("cnn-jax")])
def test_commands_parse(line):
    arguments, overrides = split_overrides(shlex.split(line, comments=True)[1:])
    options = _parser().parse_args(arguments)
    assert options.takes_overrides or not overrides
    config = getattr(options, "config", None)
    assert config is None or (ROOT / config).is_file()


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make")])
def test_make_targets_exist(line):
    target = shlex.split(line)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_python_compiles_and_names_what_exists():
    import cnn_jax

    for text in (text for kind, text in BLOCKS if kind == "python"):
        compile(text, "README.md", "exec")
        for name in re.findall(r"cnn_jax\.(\w+)", text):
            assert hasattr(cnn_jax, name)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_no_path_of_one_machine_is_in_the_results():
    for file in (ROOT / "experiments" / "results").glob("*.json"):
        assert not re.search(r'"/(home|root|tmp|work|Users)/', file.read_text()), file.name
