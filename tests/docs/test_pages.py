"""The pages written by hand cannot rot: links lead somewhere, commands parse, Python compiles, codes exist."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from pathlib import Path

import pytest

import cnn_jax
from cnn_jax.errors import ConfigError
from cnn_jax.main import _parser, split_overrides
from cnn_jax.schema import SCHEMA, pattern_group
from scripts.docs.error_page import raised
from scripts.docs.pages import generated_pages
from scripts.docs.places import docs_pages, linked_file, links, place
from tests.docs.blocks import PAGES, ROOT, blocks, commands, files

TUTORIAL = ROOT / "docs" / "tutorial.md"


def named(page: Path) -> str:
    return page.relative_to(ROOT / "docs").as_posix()


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    """The Markdown of the whole site, by place."""
    return {uri: file.read_text() for uri, file in docs_pages().items()} | generated_pages()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_parse(page):
    for command in commands(page):
        arguments, overrides = split_overrides(command)
        options = _parser().parse_args(arguments)
        assert options.takes_overrides or not overrides, command
        for key in (override.partition("=")[0] for override in overrides):
            assert key in SCHEMA or key.startswith("model.") or pattern_group(key), command
        for named_file in (getattr(options, "config", None), getattr(options, "experiment", None)):
            if named_file and named_file not in ("F", "C"):
                name = named_file.partition(":")[0]
                assert (ROOT / name).is_file() or name in files(page), command


def test_commands_that_do_not_parse_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nX=1 cnn-jax show lenet --colour=red > out  # why\n```\n")
    assert commands(page) == [["show", "lenet", "--colour=red"]]
    with pytest.raises(ConfigError, match="colour"):
        _parser().parse_args(commands(page)[0])


def test_the_tutorial_has_every_step():
    first = [command[0] for command in commands(TUTORIAL)]
    assert {"show", "diff", "check", "train", "eval", "inspect", "sweep", "claims"} <= set(first)
    assert all(
        after.language == "text" and after.text.strip()
        for block, after in zip(blocks(TUTORIAL)[1:], blocks(TUTORIAL)[2:], strict=False)
        if block.language == "sh"
    ), "a command of the tutorial has no output: run python scripts/run_tutorial.py"


def test_the_tutorials_files_are_what_the_package_reads(tmp_path):
    from cnn_jax.sweep.claims import read_question
    from cnn_jax.sweep.grid import read_experiment

    for name, text in files(TUTORIAL).items():
        (tmp_path / name).write_text(text)
        compile(text, name, "exec")
    assert cnn_jax.load_config(tmp_path / "lenet.py").model.name == "lenet:small"
    assert len(read_experiment(tmp_path / "activation.py")) == 6
    question = read_question(tmp_path / "activation.py")
    assert question is not None
    assert not question.exact


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_compiles_and_names_what_exists(page):
    for block in blocks(page):
        if block.language == "python" and block.file != "a row of FAMILIES":
            compile(block.text, str(page), "exec")
            for name in re.findall(r"\bcnn_jax\.(\w+)\(", block.text):
                assert hasattr(cnn_jax, name)


def test_the_family_of_the_page_is_one(tmp_path, monkeypatch):
    """The file of `own-model.md` is a network, with its keywords, its variants and the row it is entered by."""
    from cnn_jax import models

    page = ROOT / "docs" / "howto" / "own-model.md"
    file = tmp_path / "tower.py"
    file.write_text(files(page)["cnn_jax/models/tower.py"])
    spec = importlib.util.spec_from_file_location("tower", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tower", module)
    spec.loader.exec_module(module)
    row = eval("{" + files(page)["a row of FAMILIES"] + "}", dict(vars(models)))["tower"]
    assert set(row.variants) == set(module.VARIANTS["tower"])
    shape, classes = row.variants["large"]
    table = cnn_jax.show(module.Tower(num_classes=classes, **module.VARIANTS["tower"]["large"]), shape)
    assert table.layers[-1].output == (classes,)
    # Nine 3x3 kernels, scale and shift of their norms, and the classifier.
    channels = [3, 64, 64, 64, 128, 128, 128, 256, 256, 256]
    kernels = sum(9 * before * after for before, after in itertools.pairwise(channels))
    assert table.total.params == kernels + 2 * sum(channels[1:]) + 256 * 10 + 10


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_linked_exist(page):
    uri = named(page)
    for target, anchor in links(page.read_text()):
        if target:
            file = linked_file(uri, target)
            assert (ROOT / file).exists(), f"{uri}: {target}"
            assert place(file, anchor), f"{uri}: {target} has no place in the site"


def test_anchors_lead_somewhere(site):
    """On GitHub and in the site a heading has the same anchor."""
    anchors = {uri: headings(text) for uri, text in site.items()}
    for uri, text in site.items():
        if uri not in docs_pages():
            continue
        for target, anchor in links(text):
            there = place(linked_file(uri, target), anchor) if target else uri
            assert there is not None
            assert not anchor or anchor[1:] in anchors[there], f"{uri}: {target}{anchor}"


def headings(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them, and of what has an id."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in found} | set(
        re.findall(r'id="([^"]+)"', text)
    )


def test_error_codes_of_the_pages_exist():
    codes = {error.code for error in raised()}
    for page in PAGES:
        assert set(re.findall(r"E-[A-Z]+-\d\d+", page.read_text())) <= codes, page


def test_every_page_is_in_the_navigation(site):
    yaml = pytest.importorskip("yaml")

    class Loader(yaml.SafeLoader):
        """Reads `!!python` tags as what stands under them: nothing is called."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]
    listed = set(re.findall(r"[\w/-]+\.md", str(nav)))
    assert listed <= site.keys()
    # Of pages written by hand the build adds those that are not named; generated ones have to be.
    assert listed >= {uri for uri in site if not uri.startswith("files/")} - docs_pages().keys()


def test_any_module_can_be_looked_at(capsys):
    [text] = [block.text for block in blocks(ROOT / "docs" / "howto" / "own-model.md") if "Sequential" in block.text]
    exec(text, {})
    assert "conv 3x3/2 pad 1" in capsys.readouterr().out
