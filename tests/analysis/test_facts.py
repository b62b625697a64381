"""The layer table of every published network against counts from papers and reference codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnn_jax import analysis, models

FACTS = json.loads((Path(__file__).parents[1] / "facts" / "analysis_facts.json").read_text())
SLOW = {
    "resnet:50-v1",
    "resnet:101",
    "resnet:152",
    "resnet:152-v1",
    "resnet_cifar:56",
    "resnet_cifar:110",
    "plain_cifar:56",
}
SLOW |= {"preact_cifar:110", "preact_cifar:164", "googlenet:torchvision", "xception:paper"}


CASES = [
    pytest.param(row, id=row["model"], marks=pytest.mark.slow if row["model"] in SLOW else ())
    for row in FACTS["models"]
]


@pytest.mark.parametrize("facts", CASES)
def test_totals_are_the_published_ones(facts):
    table = analysis.show_named(facts["model"])
    total = table.total.to_dict()
    expected = {name: facts[name] for name in facts if name not in ("model", "source")}
    assert {name: total[name] for name in expected} == expected, facts["source"]
    assert sum(row.params for row in table) == total["params"]
    assert sum(row.batch_stats for row in table) == total["batch_stats"]
    assert len({row.name for row in table}) == len(table)


@pytest.mark.parametrize("name", FACTS["layers"])
def test_rows_are_the_published_ones(name):
    rows = [r for r in analysis.show_named(name) if r.type not in ("relu", "tanh", "dropout")]
    published = FACTS["layers"][name]["rows"]
    assert [row.type for row in rows] == [facts["type"] for facts in published]
    for row, facts in zip(rows, published, strict=True):
        data = row.to_dict()
        assert data["output"] == facts["output"], row.name
        for key in ("params", "macs", "receptive_field", "jump"):
            if key in facts:
                assert data[key] == facts[key], (row.name, key)
        for key in ("kernel", "strides"):
            if key in facts:
                assert data[key] == [facts[key]] * 2, (row.name, key)
        if "padding" in facts:
            assert data["padding"] == [[facts["padding"]] * 2] * 2, row.name
            assert data["groups"] == facts["groups"], row.name


def test_every_row_has_a_source_and_a_model():
    names = {entry.name for entry in models.catalogue()}
    for row in FACTS["models"]:
        assert row["source"]
        assert row["model"] in names


def test_activations_of_vgg_are_the_slides_sum():
    """15,237,608 floats with the input (lecture 001's table, summed); the input itself is written by no layer."""
    total = analysis.show_named("vgg:D").total
    assert total.activations + 224 * 224 * 3 == 15_237_608


@pytest.mark.parametrize(("name", "field"), [("alexnet:paper", 11), ("vgg:D", 3), ("googlenet:paper", 7)])
def test_pixel_box_of_the_first_unit_is_its_kernel_less_the_padding(name, field):
    table = analysis.show_named(name)
    first = table.layers[0]
    assert first.padding is not None
    (lo, _), _ = first.padding
    assert table.box(first.name, 0, 0, clip=False) == ((-lo, field - lo - 1),) * 2
    assert table.box(first.name, 0, 0) == ((0, field - lo - 1),) * 2
