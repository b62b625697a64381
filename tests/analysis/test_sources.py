"""Every layer of every network has a source, and every difference between two variants a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cnn_jax import analysis, models
from cnn_jax.analysis import sources
from cnn_jax.errors import ConfigError

DATA = Path(models.__file__).parent / "provenance"
FILES = sorted({row.model.split(".")[0] for row in models.FAMILIES.values()})
PLACE = re.compile(r"(?:19|20)\d\d.*(?:section|table|figure|equation|appendix|footnote)", re.IGNORECASE)
# Deep networks repeat their blocks: a shallow one has the same names, and is traced in a fraction of the time.
SHALLOW = {
    r"resnet:(101|152).*": "stage_sizes=(2,2,2,2),bottleneck=true",
    r"(resnet|plain)_cifar:.*": "depth=14",
    r"preact_cifar:110": "depth=14",
    r"preact_cifar:.*": "depth=20",
}


def layers(name):
    """The layer table of a network, or of its shallow form."""
    keywords = next((words for pattern, words in SHALLOW.items() if re.fullmatch(pattern, name)), "")
    return analysis.show_named(f"{name},{keywords}" if keywords else name)


@pytest.mark.parametrize("family", models.FAMILIES)
def test_every_layer_has_a_paper_and_a_place_in_it(family):
    for name in [entry.name for entry in models.catalogue() if entry.family == family]:
        rules = sources.rules_of(name)
        found = {row.name: sources.origin_of(rules, row.name).source for row in layers(name)}
        found |= {beside: sources.origin_of(rules, beside).source for beside in sources.BESIDE_LAYERS}
        # A crop is how option A's zero padding steps; sums and concatenations without rule would show here too.
        missing = [layer for layer, source in found.items() if not PLACE.search(source)]
        assert missing == [], name


@pytest.mark.parametrize("file", FILES)
def test_every_rule_is_complete_and_is_used(file):
    families = [family for family, row in models.FAMILIES.items() if row.model.split(".")[0] == file]
    errata = {entry.id for entry in analysis.errata()}
    names = [entry.name for entry in models.catalogue() if entry.family in families]
    for entry in json.loads((DATA / f"{file}.json").read_text()):
        rule = sources.Rule(**entry)
        assert rule.source or rule.why, entry
        assert rule.why or not rule.deviation, f"{entry} deviates without a reason"
        assert rule.erratum in ("", *errata), entry
        assert not rule.source or PLACE.search(rule.source), entry
        assert any(rule in sources.rules_of(name) for name in names), f"{entry} holds for no network"
    assert {path.stem for path in DATA.glob("*.json")} == set(FILES)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("alexnet:paper", "alexnet:slides"),
        ("alexnet:paper", "alexnet:torchvision"),
        ("alexnet:paper", "alexnet:small"),
        ("alexnet:slides", "zfnet:paper"),
        ("zfnet:paper", "zfnet:slides"),
        ("zfnet:paper", "zfnet:small"),
        ("vgg:A", "vgg:A-LRN"),
        ("vgg:A", "vgg:A-BN"),
        ("vgg:B", "vgg:C"),
        ("vgg:C", "vgg:D"),
        ("vgg:D", "vgg:E"),
        ("googlenet:paper", "googlenet:torchvision"),
        ("googlenet:paper", "googlenet:small"),
        ("resnet:50", "resnet:50-v1"),
        ("resnet:34", "resnet:34-A"),
        ("resnet:34", "resnet:34-C"),
        ("resnet:18", "plain:18"),
        ("lenet:1989", "lenet:1998"),
        ("lenet:1998", "lenet:modern"),
        ("linear:mnist", "linear:small"),
        ("mlp:300", "mlp:300-100"),
        ("xception:paper", "xception:small"),
        ("airbench:94", "airbench:95"),
        ("airbench:95", "airbench:96"),
    ],
)
def test_every_difference_is_explained(before, after):
    difference = analysis.diff(analysis.show_named(before), analysis.show_named(after))
    unexplained = [c.name for c in difference.changes if not c.why and not c.follows]
    assert unexplained == []
    assert {reason.model for change in difference.changes for reason in change.why} <= {before, after}


def test_reasons_name_what_the_paper_does_not_have():
    changes = {c.name: c for c in analysis.diff(*map(layers, ("alexnet:paper", "alexnet:torchvision"))).changes}
    assert "One weird trick" in str(changes["conv1"].why[-1])
    assert "two groups" in str(changes["conv5"].why[0])
    assert changes["conv3"].follows  # its 384 kernels are the paper's, they see 192 maps
    five = {c.name: c for c in analysis.diff(*map(layers, ("googlenet:paper", "googlenet:torchvision"))).changes}
    assert "3x3 in place of 5x5" in str(five["inception_3a/5x5"].why)
    assert not five["conv1"].follows  # the bias has gone, which no layer before it has caused
    stride = analysis.diff(*map(layers, ("resnet:50", "resnet:50-v1"))).to_dict()["changes"][0]
    assert {reason["model"] for reason in stride["why"]} == {"resnet:50", "resnet:50-v1"}
    assert stride["why"][0]["erratum"] == "D33"


def test_text_of_a_difference_numbers_its_reasons():
    text = str(analysis.diff(*map(layers, ("vgg:C", "vgg:D"))))
    assert "errata D20" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    plain = analysis.show(models.create("vgg:C"), (224, 224, 3))
    assert " why " not in str(analysis.diff(plain, analysis.show(models.create("vgg:D"), (224, 224, 3))))


def test_provenance_prints_and_is_json():
    shown = analysis.provenance("alexnet:torchvision")
    document = json.loads(json.dumps(shown.to_dict()))
    conv1 = document["layers"][0]
    assert conv1["kernel"] == [11, 11]
    assert "footnote 1" in conv1["origin"]["source"]
    assert conv1["origin"]["errata"] == ["D07"]
    assert set(document["origins"]) == {"input", "initializer"}
    text = str(shown)
    assert max(map(len, text.splitlines())) <= 100
    assert "deviates: 64 and 192 kernels" in " ".join(text.split())


def test_keywords_in_the_name_are_deviations_where_they_change_a_layer():
    origins = {
        layer["name"]: layer["origin"]["deviations"]
        for layer in analysis.provenance("vgg:A,kernel_size=5").to_dict()["layers"]
    }
    assert "kernel_size=5" in origins["conv1_1"][0]
    assert origins["fc6"] == []
    # The variant itself does not fit this input: then nothing is sure to be its own.
    small = analysis.provenance("alexnet:paper,strides=1", (32, 32, 3)).to_dict()
    assert all("strides=1" in layer["origin"]["deviations"][-1] for layer in small["layers"])


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="A-LRN"):
        analysis.provenance("vgg:F")
    assert sources.rules_of("no such network") == ()
