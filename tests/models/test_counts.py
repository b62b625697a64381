"""`counts.json`, which `cnn-jax models` prints, is what the analysis gives today."""

from __future__ import annotations

import pytest

from cnn_jax import analysis, models

# The largest take longer than a test should; their counts are held to the papers in test_facts.
LARGE = ("resnet_cifar:1202", "preact_cifar:1001")


def test_every_network_is_counted():
    assert set(models.counts()) == {entry.name for entry in models.catalogue()}


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.slow] * (name == "preact_cifar")) for name in models.FAMILIES]
)
def test_counts_are_up_to_date(family):
    names = [entry.name for entry in models.catalogue() if entry.family == family and entry.name not in LARGE]
    for name in (names[0], names[-1]):
        totals = analysis.show_named(name).total.to_dict()
        assert models.counts()[name] == {key: totals[key] for key in ("params", "macs", "receptive_field")}, (
            f"{name} has changed: run python scripts/count_models.py"
        )
