"""Every network of the catalogue against its published or hand-counted numbers, in `tests/facts/models.json`."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import jax
import pytest

from cnn_jax import models

FACTS = json.loads((Path(__file__).parents[1] / "facts" / "models.json").read_text())
# Their traces take over a second each.
DEEP = re.compile(r"resnet:(101|152).*|(resnet|plain)_cifar:(110|1202).*|preact_cifar:.*")


def test_every_network_has_facts_and_every_fact_a_source():
    names = [row["name"] for row in FACTS]
    assert len(names) == len(set(names))
    assert {entry.name for entry in models.catalogue()} <= set(names)
    for row in FACTS:
        assert len(row["source"]) > 10, row["name"]
        models.keywords(row["name"])  # it is a network


def test_counts_of_the_catalogue_are_the_facts():
    """`counts.json` is held to the code by test_counts; here to the facts, of the largest networks as well."""
    facts = {row["name"]: row for row in FACTS}
    for name, counted in models.counts().items():
        assert counted["params"] == facts[name]["params"], facts[name]["source"]
        assert facts[name]["macs"] in (None, counted["macs"]), facts[name]["source"]


@pytest.mark.parametrize(
    "facts",
    [pytest.param(row, id=row["name"], marks=pytest.mark.slow if DEEP.fullmatch(row["name"]) else ()) for row in FACTS],
)
def test_parameters_and_stages_are_the_facts(facts):
    model, image = models.create(facts["name"]), jax.ShapeDtypeStruct((1, *facts["input"]), "float32")
    (_, taps), variables = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x), image)
    sizes = {
        kind: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables.get(kind, {})))
        for kind in ("params", "batch_stats")
    }
    assert sizes["params"] == facts["params"], facts["source"]
    assert facts["batch_stats"] in (None, sizes["batch_stats"]), facts["source"]
    assert {name: list(taps[name].shape[1:]) for name in facts["taps"]} == facts["taps"], facts["source"]
