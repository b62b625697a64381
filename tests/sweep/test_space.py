"""Spaces of settings, searches and the `hyper` idiom, against what itertools and SciPy say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from cnn_jax.errors import ConfigError
from cnn_jax.sweep import hyper, search
from cnn_jax.sweep.space import LABEL, axis, chain, fixed, named, product, seeds, zipped


def test_product_is_that_of_itertools_in_its_order():
    space = product(axis("a", (1, 2, 3)), axis("b", "xy"), seeds(2))
    assert [tuple(s.values()) for s in space] == list(itertools.product((1, 2, 3), "xy", (0, 1)))
    assert [*space[0]] == ["a", "b", "seed"]
    assert product() == [{}]
    assert product(axis("a", (1,)), []) == []


def test_zip_chain_and_fixed_compose():
    assert zipped(axis("a", (1, 2)), axis("b", (3, 4))) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    tail = product(fixed({"b": 2}), axis("a", (3, 4)))
    assert chain(axis("a", (1,)), tail) == [{"a": 1}, {"b": 2, "a": 3}, {"b": 2, "a": 4}]
    with pytest.raises(ConfigError, match="2, 3 settings cannot be zipped"):
        zipped(axis("a", (1, 2)), axis("b", (1, 2, 3)))
    with pytest.raises(ConfigError, match="sets a twice"):
        product(axis("a", (1, 2)), axis("a", (3,)))


def test_names_are_joined():
    space = product(named({"slow": {"lr": 1}, "fast": {"lr": 2}}), named({"deep": {"d": 9}}), seeds(1))
    assert [s[LABEL] for s in space] == ["slow, deep", "fast, deep"]
    assert space[1] == {"lr": 2, "d": 9, "seed": 0, LABEL: "fast, deep"}


def test_distributions_have_the_quantiles_of_scipy():
    us = np.linspace(0, 0.999, 23)
    np.testing.assert_allclose([search.uniform(2, 5).at(u) for u in us], stats.uniform(2, 3).ppf(us))
    np.testing.assert_allclose(
        [search.log_uniform(1e-4, 1e-1).at(u) for u in us], stats.loguniform(1e-4, 1e-1).ppf(us), rtol=1e-9
    )
    whole = [search.integers(3, 6).at(u) for u in us]
    assert whole == [3 + math.floor(4 * u) for u in us]
    assert {search.choice("a", "b").at(u) for u in us} == {"a", "b"}
    assert search.choice(["a", "b"]) == search.choice("a", "b")


@pytest.mark.parametrize("method", ["random", "halton", "sobol"])
def test_searches_are_the_same_for_a_seed_and_can_be_extended(method):
    space = {"optimizer.learning_rate": search.log_uniform(1e-3, 1), "model.width": search.choice(0.5, 1.0)}
    drawn = search.draw(space, 12, method=method, seed=3)
    assert drawn == search.draw(space, 12, method=method, seed=3)
    assert drawn == search.draw(space, 20, method=method, seed=3)[:12]
    assert drawn != search.draw(space, 12, method=method, seed=4)
    assert all([*s] == list(space) and 1e-3 <= s["optimizer.learning_rate"] < 1 for s in drawn)


def test_quasi_random_points_are_more_even_than_random_ones():
    def discrepancy(method):
        drawn = search.draw({"a": search.uniform(0, 1), "b": search.uniform(0, 1)}, 64, method=method)
        return qmc.discrepancy(np.array([[s["a"], s["b"]] for s in drawn]))

    assert max(discrepancy("halton"), discrepancy("sobol")) < discrepancy("random") / 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: search.uniform(1, 1), "empty or endless"),
        (lambda: search.log_uniform(0, 1), "use 0 < lo < hi"),
        (search.choice, "at least one value"),
        (lambda: search.draw({}, 3), "in 0 dimensions"),
        (lambda: search.draw({"a": search.choice(1)}, 3, method="grid"), "halton, sobol or random"),  # type: ignore[arg-type]
    ],
)
def test_searches_that_make_no_sense_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_hyper_is_used_as_elsewhere():
    made = hyper.product(
        [
            hyper.zipit([hyper.sweep("config.a", [1, 2]), hyper.sweep("config.b.c", hyper.discrete([3, 4]))]),
            hyper.chainit([hyper.sweep("config.d", hyper.categorical(["x"])), hyper.fixed("config.d", "y", length=1)]),
            hyper.fixed("seed", 0, length=1),
        ]
    )
    assert hyper.finished(made) == [
        {"a": a, "b.c": c, "d": d, "seed": 0} for a, c in ((1, 3), (2, 4)) for d in ("x", "y")
    ]
    assert hyper.product([]) == [{}]


def test_hyper_draws_together_what_is_zipped():
    made = hyper.zipit(
        [
            hyper.loguniform("config.lr", hyper.interval(1e-3, 1e-1)),
            hyper.uniform("config.p", hyper.discrete([1, 2, 3])),
            hyper.fixed("config.q", 7),
            hyper.sweep("config.seed", range(100)),
        ],
        length=30,
    )
    assert len(made) == 30
    assert len({s["lr"] for s in made}) == 30
    assert {s["p"] for s in made} == {1, 2, 3}
    assert all(1e-3 <= s["lr"] <= 1e-1 and s["q"] == 7 for s in made)
    assert [s["seed"] for s in made] == list(range(30))
    with pytest.raises(ConfigError, match="has no length"):
        hyper.zipit([hyper.uniform("p", hyper.interval(0, 1))])
    with pytest.raises(ConfigError, match="lr is drawn"):
        hyper.product([hyper.loguniform("lr", hyper.interval(0.1, 1))])
