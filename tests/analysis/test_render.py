"""What people and programs read: text, Markdown, LaTeX, HTML, JSON, differences, errata."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys

import flax.linen as nn
import pytest
from rich.console import Console

from cnn_jax import analysis

LAYER_KEYS = {
    "name", "type", "output", "kernel", "strides", "padding", "dilation", "groups", "params", "macs", "activations",
    "receptive_field", "jump", "remainder",
}  # fmt: skip
TOTAL_KEYS = {"params", "weights", "batch_stats", "macs", "activations", "receptive_field", "jump"}


class Net(nn.Module):
    stride: int = 2

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, (3, 3), strides=(self.stride, self.stride), padding="VALID", name="a_rather_long_name")(x)
        x = nn.relu(x)
        return nn.Dense(10, name="fc")(x.reshape(x.shape[0], -1))


@pytest.fixture(scope="module")
def table():
    return analysis.show(Net(), (16, 16, 3), name="net & co")


def test_document_has_the_agreed_keys_and_is_json(table):
    document = json.loads(json.dumps(table.to_dict()))
    assert list(document) == ["model", "input", "layers", "total"]
    assert document["input"] == [16, 16, 3]
    for layer in document["layers"]:
        assert set(layer) >= LAYER_KEYS
    assert set(document["total"]) >= TOTAL_KEYS
    first = document["layers"][0]
    assert first["kernel"] == [3, 3]
    assert first["padding"] == [[0, 0], [0, 0]]
    assert first["remainder"] == [1, 1]
    assert (first["receptive_field"], first["jump"]) == (3, 2)
    assert document["layers"][-1]["kernel"] is None


def test_bytes_follow_their_definitions(table):
    conv = table["a_rather_long_name"]
    assert conv.bytes_forward == 4 * (7 * 7 * 8 + 3 * 3 * 3 * 8 + 8)
    assert conv.bytes_training == 4 * (2 * 7 * 7 * 8 + 3 * (3 * 3 * 3 * 8 + 8))


def test_text_is_plain_and_fits_a_hundred_columns(table):
    text = str(analysis.show_named("googlenet:paper"))
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "6,998,552" in text
    assert "1,582,671,872" in text
    assert "net & co" in str(table)


def test_rows_of_a_module_stand_under_its_name_where_paths_are_too_long():
    lines = str(analysis.show_named("googlenet:paper")).splitlines()
    first = lines.index(" inception_3a")
    assert [line.split("  ")[1].strip() for line in lines[first + 1 : first + 4]] == ["1x1", "1x1_relu", "reduce_3x3"]
    assert lines[first + 1].startswith("   1x1  ")
    resnet = str(analysis.show_named("resnet:18"))
    assert " conv2_1/conv1 " in resnet
    folded = str(analysis.show_named("xception")).splitlines()
    assert max(map(len, folded)) <= 100


def test_numbers_are_aligned(table):
    lines = [line for line in str(table).splitlines() if "conv 3x3/2" in line or line.startswith(" total")]
    ends = [line.index(number) + len(number) for line, number in zip(lines, ("224", "4,154"), strict=True)]
    assert ends[0] == ends[1]


def test_colour_only_on_a_terminal(table):
    plain, terminal = io.StringIO(), io.StringIO()
    Console(file=plain, width=100).print(table)
    Console(file=terminal, width=100, force_terminal=True, color_system="standard").print(table)
    assert "\x1b" not in plain.getvalue()
    assert "\x1b" in terminal.getvalue()


def test_markdown_latex_and_html_hold_every_row(table):
    markdown, latex, page = table.to_markdown(), table.to_latex(), table._repr_html_()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == len(table) + 3
    assert len({row.count("|") for row in rows}) == 1
    assert latex.count(r"\\") == len(table) + 2
    assert r"a\_rather\_long\_name" in latex
    assert page.count("<tr>") == len(table) + 2
    assert "net &amp; co" in page


def test_latex_is_of_balanced_parts_and_escaped():
    class Odd(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(8, (3, 3), name="a_b#c%d&e$f{g}~^h\\i")(x)

    odd = analysis.show(Odd(), (8, 8, 3)).to_latex()
    assert r"a\_b\#c\%d\&e\$f\{g\}\textasciitilde{}\textasciicircum{}h\textbackslash{}i & conv 3$\times$3 pad 1" in odd
    for name, kind in (("lenet:modern", "tabular"), ("resnet:18", "longtable")):
        latex = analysis.show_named(name).to_latex()
        assert latex.count(rf"\begin{{{kind}}}") == latex.count(rf"\end{{{kind}}}") == 1
        *_, alignment = latex.split(rf"\begin{{{kind}}}{{")[1].split("}")[0].split()
        body = [line for line in latex.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {len(alignment) - 1}
        assert not re.search(r"(?<!\\)_", "".join(body))


def test_equal_networks_do_not_differ(table):
    difference = analysis.diff(table, table)
    assert not difference
    assert difference.to_dict()["changes"] == []
    assert "no layer differs" in str(difference)


def test_difference_of_alexnet_and_zfnet_is_the_first_layers():
    difference = analysis.diff(analysis.show_named("alexnet:slides"), analysis.show_named("zfnet:paper"))
    changed = {change.name: change for change in difference.changes}
    assert set(changed) == {"conv1", "pool1", "conv2", "pool2"}
    first = difference.to_dict()["changes"][0]
    assert (first["before"]["kernel"], first["after"]["kernel"]) == ([11, 11], [7, 7])
    assert {"kernel", "strides"} <= set(changed["conv1"].fields)
    text = str(difference)
    assert "11x11/4" in text
    assert "7x7/2" in text
    assert max(map(len, text.splitlines())) <= 100


def test_difference_names_what_is_added_moved_and_removed():
    difference = analysis.diff(analysis.show_named("vgg:A"), analysis.show_named("vgg:B"))
    assert [(c.kind, c.name) for c in difference.changes if "relu" not in c.name] == [
        ("added", "conv1_2"), ("added", "conv2_2"),
    ]  # fmt: skip
    back = analysis.diff(analysis.show_named("vgg:B"), analysis.show_named("vgg:A"))
    assert {change.kind for change in back.changes} == {"removed"}
    moved = analysis.diff(analysis.show_named("alexnet:paper"), analysis.show_named("alexnet:slides"))
    assert {c.name for c in moved.changes if c.kind == "moved"} <= {"norm1", "pool1", "norm2", "pool2"}
    assert json.loads(json.dumps(moved.to_dict()))["models"] == ["alexnet:paper", "alexnet:slides"]


def test_errata_are_complete_and_need_no_jax():
    errata = analysis.errata()
    assert [entry.id for entry in errata] == [f"D{i:02d}" for i in range(1, len(errata) + 1)]
    assert len(errata) >= 57
    for entry in errata:
        assert entry.topic
        assert entry.right
        assert entry.reason
        assert entry.source
        assert entry.where
    code = "from cnn_jax import analysis; import sys; analysis.errata(); print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_errata_agree_with_the_networks():
    """The numbers in the errata are those the code computes."""
    text = {entry.id: entry.right for entry in analysis.errata()}
    vgg = analysis.show_named("vgg:D").total
    assert f"{vgg.activations + 224 * 224 * 3:,}" in text["D19"]
    assert f"{analysis.show_named('alexnet:paper').total.params:,}" in text["D09"]
    assert f"{analysis.show_named('lenet:1998').total.params:,}" in text["D22"]
