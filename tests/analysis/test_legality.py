"""One model or a whole sweep, checked before anything runs."""

from __future__ import annotations

import time

import flax.linen as nn
import pytest

from cnn_jax import analysis, models
from cnn_jax.analysis import Cell
from cnn_jax.errors import GeometryError


class Plain(nn.Module):
    """A user's own network, which checks nothing."""

    kernel_size: int = 3

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (self.kernel_size,) * 2, padding="VALID", name="first")(x)
        return nn.Dense(2, name="fc")(nn.max_pool(x, (2, 2), (2, 2)).reshape(x.shape[0], -1))


def test_legal_models_have_no_problem():
    assert analysis.check("lenet:modern") == []
    assert analysis.check(Plain(), (8, 8, 1)) == []


def test_problem_names_layer_numbers_and_neighbours_that_are_legal():
    (problem,) = analysis.check("lenet:modern,kernel_size=15")
    assert problem.layer == "conv2"
    assert problem.code == "E-GEOM-01"
    assert "15x15" in problem.message
    assert "9x9" in problem.message
    assert problem.neighbours
    for neighbour in problem.neighbours:
        if neighbour.startswith("input="):
            shape = tuple(map(int, neighbour.removeprefix("input=").split(",")))
            assert analysis.check("lenet:modern,kernel_size=15", shape) == []
        else:
            keyword, _, value = neighbour.partition("=")
            mended = models.create("lenet:modern", **{"kernel_size": 15, keyword: value})
            assert analysis.check(mended, (32, 32, 1)) == []


def test_networks_of_plain_flax_are_refused_with_a_legal_kernel():
    (problem,) = analysis.check(Plain(kernel_size=11), (8, 8, 1))
    assert problem.layer == "first"
    assert problem.code == "E-GEOM-01"
    assert "11x11 kernel on a 8x8 input with padding 0" in problem.message
    assert "kernel_size=7" in problem.neighbours
    assert problem.to_dict()["cell"] == "Plain"


def test_unknown_names_and_keywords_are_problems_of_their_cell():
    problems = analysis.check([Cell("a", "vgg:Z"), Cell("b", "lenet:modern"), Cell("c", "lenet:modern,kernel=3")])
    assert [problem.cell for problem in problems] == ["a", "c"]
    assert "kernel_size" in problems[1].message


def test_faults_that_are_not_geometry_are_reported_in_one_line():
    class Broken(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(3, (3, 3), feature_group_count=2)(x)

    (problem,) = analysis.check(Broken(), (8, 8, 3))
    assert "\n" not in str(problem)
    assert problem.message


def test_a_module_needs_an_input():
    assert analysis.check([Cell("x", Plain())])[0].code == "E-CONF-92"


def test_two_hundred_cells_of_forty_models_take_seconds():
    cells = [
        Cell(f"{k} {p} {seed}", f"lenet:modern,kernel_size={k},padding={p}")
        for k in range(5, 15)
        for p in range(4)
        for seed in range(5)
    ]
    start = time.perf_counter()
    problems = analysis.check(cells, suggestions=1)
    assert time.perf_counter() - start < 60
    assert problems
    assert len(problems) % 5 == 0


@pytest.mark.parametrize(
    ("name", "layer", "choices"),
    [
        # (32 - 5 + 0) / 2 leaves 1 of 27 over.
        ("lenet:modern,strides=2", "conv1", ["a kernel of 4", "stride 1", "padding (0, 1)"]),
        ("resnet:18", "conv1", ["a kernel of 6", "padding (3, 4)"]),
        ("alexnet:paper,strides=3", "pool2", ["a window of 2"]),
    ],
)
def test_strict_names_the_first_layer_that_leaves_a_remainder(name, layer, choices):
    assert analysis.check(name) == []
    (problem,) = analysis.check(name, strict=True, suggestions=0)
    assert (problem.layer, problem.code) == (layer, "E-GEOM-02")
    assert all(choice in problem.message for choice in choices)
    with pytest.raises(GeometryError, match=f"E-GEOM-02: layer {layer}: "):
        analysis.show_named(name, strict=True)


def test_strict_accepts_what_comes_out_whole_and_reads_networks_of_plain_flax():
    for name in ("vgg:A", "alexnet:paper", "lenet:modern"):
        assert analysis.check(name, strict=True) == []
    assert analysis.check(Plain(), (8, 8, 1), strict=True) == []
    (problem,) = analysis.check(Plain(), (9, 9, 1), strict=True)
    assert problem.layer == "max_pool"
    assert {"kernel_size=2", "input=10,10,1"} <= set(problem.neighbours)
