"""The generated reference says what the code says, and leaves nothing out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

import cnn_jax
from cnn_jax import errors, models, schema
from cnn_jax.commands import COMMANDS
from cnn_jax.errors import CnnJaxError, ConfigError
from scripts.docs.command_page import command_page, options, parsers, usage
from scripts.docs.config_page import config_page, row, rules
from scripts.docs.error_page import PACKAGE, error_page, raised
from scripts.docs.file_pages import ROOT, claims_page, file_page, recipes_page
from scripts.docs.markdown import code, table, words
from scripts.docs.model_page import catalogue, field, model_page
from scripts.docs.notebook_page import is_notebook, notebook
from scripts.docs.python_page import PACKAGES, exported, package_page, python_page
from scripts.docs.templates import template


def test_every_config_key_has_its_row():
    page = config_page()
    for key, entry in schema.SCHEMA.items():
        assert f"| `{key}` | `{entry.default!r}` |" in page
        assert words(entry.says) in page
    for group in schema.PATTERN_GROUPS:
        assert f"`{group}.PATTERN=" in page
    assert row("optimizer.learning_rate") == (
        "`optimizer.learning_rate`",
        "`0.05`",
        "number",
        "a positive finite number",
    )
    assert row("image_size")[2] == "whole number or None"


def test_rules_are_those_that_refuse():
    """Every refusal of `check_combinations` is on the page, and one of them, provoked, reads like it."""
    source = (PACKAGE / "schema.py").read_text()
    assert len(list(rules())) == source.count("refuse(") - 1  # one is its definition
    flat = {key: entry.default for key, entry in schema.SCHEMA.items()} | {"average.start": 0.5}
    with pytest.raises(ConfigError, match=r"means nothing without config\.average\.name") as refused:
        schema.check_combinations(flat)
    assert dict(rules())["average.start"] in refused.value.message


def test_every_command_and_option_is_listed():
    page = command_page()
    assert list(parsers()) == [command.name for command in COMMANDS]
    for name, parser in parsers().items():
        section = page.split(f"\n## cnn-jax {name}\n")[1].split("\n## ")[0]
        for action in parser._actions:
            for flag in action.option_strings:
                assert flag in section or flag in ("-h", "--help")
        assert ("--config.KEY=VALUE" in section) == bool(parser.get_default("takes_overrides"))


def test_options_and_usage_of_one_command():
    parser = parsers()["verify-resume"]
    assert ("`--steps=T`", "`20`", "how many steps to train (default 20)") in options(parser)
    assert ("`--config=FILE`", "required", "a config file, FILE.py:ARG, or W/config.json") in options(parser)
    assert usage(parser).startswith("cnn-jax verify-resume [-h] [--debug] [--no_cache] --config FILE")
    choices = {written: default for written, default, _ in options(parsers()["train"])}
    assert choices["`--distributed={auto,off,on}`"] == "`auto`"


def test_every_public_name_is_in_the_reference():
    page = python_page()
    for name in cnn_jax.__all__:
        assert f"      heading: cnn_jax.{name}\n" in page
    found = re.findall(r"^::: ([\w.]+)$", page + "".join(map(package_page, PACKAGES)), re.MULTILINE)
    assert len(found) > 100
    for path in found:
        module, _, name = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name), path
    from cnn_jax import ops

    shown = {name for name, _ in exported(ops)}
    assert {"conv", "max_pool", "Scene", "relu_rule"} <= shown
    assert "annotations" not in shown


def test_every_error_that_is_raised_is_on_the_page():
    """Counted another way: the text of every file, by what looks like a call with a number."""
    page = error_page()
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CnnJaxError)]
    areas = {kind.__name__: kind.area for kind in kinds}
    for file in PACKAGE.rglob("*.py"):
        for name, number in re.findall(rf"\b({'|'.join(areas)})\(\s*(\d+)\s*,", file.read_text()):
            assert f'<span id="E-{areas[name]}-{int(number):02d}">' in page, f"{file}: {name}({number}"
    assert all(
        f"## E-{kind.area}: exit status {kind.exit_status}\n" in page for kind in kinds if kind is not CnnJaxError
    )


def test_messages_are_those_that_are_raised(tmp_path):
    said = {error.code: error.message for error in raised()}
    with pytest.raises(ConfigError) as refused:
        cnn_jax.load_config(tmp_path / "none.py")
    code_, _, message = str(refused.value).partition(": ")
    pattern = re.sub(r"\\\{.*?\\\}", ".*", re.escape(said[code_]))
    assert re.fullmatch(pattern, message)
    # Both numbers of a call that chooses between two.
    assert {"E-CONF-05", "E-CONF-06"} <= set(said)
    # A message that a function of the module makes.
    assert "leaves" in said["E-GEOM-01"]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("'plain'", "plain"),
        ("f'{path.name} is empty'", "{name} is empty"),
        ("f'{len(files)} of {total:,}'", "{number of files} of {total}"),
        ("f'legal: {\", \".join(sorted(names))}'", "legal: {names}"),
        ("f'no {a!r}' + ' here'", "no {a} here"),
        ('f\'x{", y" if z else ""}\'', "x, y"),
        ('f\'{("one" if z else "two")} more\'', "(one | two) more"),
        ("f'{a[\"key\"]} {b()} {c.d()}'", "{key} {b} {c}"),
    ],
)
def test_templates(source, shown):
    assert template(ast.parse(source, mode="eval").body) == shown


def test_a_name_stands_for_what_was_assigned_to_it():
    known = {"what": ast.parse("f'folder {x}'", mode="eval").body, "rows": ast.parse("[1]", mode="eval").body}
    assert template(ast.parse("f'{what}: {rows}'", mode="eval").body, known) == "folder {x}: {rows}"


def test_the_models_are_those_of_the_command():
    page = model_page()
    for entry in catalogue():
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{entry['name']}` |")]
        assert f"| {entry['parameters']:,} | {entry['macs']:,} | {field(entry['receptive_field'])} |" in line
    for family, default in (("vgg", "padding_mode"), ("resnet", "shortcut")):
        section = page.split(f'??? note "Keywords of {family}"')[1].split("\n## ")[0]
        assert all(code(keyword) in section for keyword in models.keywords(family))
        assert default in section
    assert field(None) == ""
    assert field(212.0) == "212"
    assert field([3, 1557]) == "3×1,557"


def test_claims_and_recipes_list_every_file():
    claims, recipes = claims_page(), recipes_page()
    for file in (ROOT / "experiments").glob("*.py"):
        assert (f"files/experiments/{file.stem}_py.md" in claims) == ("\ndef claim(" in file.read_text()), file.name
    for file in (ROOT / "configs").rglob("*.py"):
        assert file.relative_to(ROOT).as_posix() in recipes
    page = file_page("experiments/googlenet_size.py")
    assert "**not reproduced** (exact)" in page
    assert "def claim()" in page


def test_notebooks_are_read_as_pages():
    words_of_it = "# %% [markdown]\n# # A title\n#\n# Words\n# - and a list\n\n"
    code_of_it = "x = 1  # %% no cell\n\ny = 2"
    text = f"{words_of_it}# %% tags=['x']\n{code_of_it}\n\n# %%\n"
    assert is_notebook(text)
    assert notebook(text) == f"# A title\n\nWords\n- and a list\n\n```python\n{code_of_it}\n```"
    assert not is_notebook("x = 1  # %% no cell\n")


def test_cells_of_tables_stay_cells():
    assert table(("a", "b:"), [("1", "2")]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |\n"
    assert words("a|b *c* <d> `e|f` _g_") == "a\\|b \\*c\\* &lt;d\\> `e\\|f` \\_g\\_"
    assert code("a|b") == "`a\\|b`"
    assert code("`a`") == "```a```"
    assert code("") == ""


def test_generating_needs_nothing_of_mkdocs():
    """Tests run where the documentation's tools are not installed."""
    done = "import sys, scripts.docs.pages; print(any('mkdocs' in name for name in sys.modules))"
    shown = subprocess.run([sys.executable, "-c", done], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
