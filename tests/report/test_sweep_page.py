"""The report of a sweep, from a synthetic `results.json` whose means are known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cnn_jax.errors import CheckpointError
from cnn_jax.main import main
from cnn_jax.report import write_sweep_report
from cnn_jax.report.sweep_curves import curve_panels
from cnn_jax.report.sweep_figures import cost_figure
from cnn_jax.report.sweep_results import axes_of, means_over
from cnn_jax.report.sweep_settings import setting_figures
from cnn_jax.sweep.arms import against_best, arms_of

ERRORS = {(3, 1): (0.20, 0.22, 0.21), (3, 2): (0.40, 0.43, 0.41), (5, 1): (0.30, 0.20, 0.25), (5, 2): (None, None, 0.5)}


def cell(kernel_size: int, strides: int, seed: int, error: float | None) -> dict:
    return {
        "settings": {"model.kernel_size": kernel_size, "model.strides": strides, "seed": seed},
        "label": f"kernel_size={kernel_size}, strides={strides}, seed={seed}",
        "seed": seed,
        "id": f"{kernel_size}{strides}{seed}",
        "status": "failed" if error is None else "done",
        "error": "E-NAN-01: <loss> is nan" if error is None else None,
        "params": 1000 * kernel_size,
        "macs": 10_000 * kernel_size // strides,
        "receptive_field": kernel_size + 4.0,
        "steps": 10,
        "seconds": None if error is None else 2.0,
        "test_error": error,
        "validation_error": 0.9,
    }


@pytest.fixture
def document() -> dict:
    cells = [cell(*at, seed, error) for at, errors in ERRORS.items() for seed, error in enumerate(errors)]
    return {"experiment": "windows & <strides>", "environment": None, "data": "shapes", "cells": cells, "illegal": []}


@pytest.fixture
def workdir(tmp_path: Path, document: dict) -> Path:
    (tmp_path / "results.json").write_text(json.dumps(document))
    (tmp_path / "results.csv").write_text("")
    return tmp_path


def test_arms_are_means_over_seeds_lowest_first(document):
    arms = arms_of(document["cells"], "test")
    assert [arm.label for arm in arms][:2] == ["kernel_size=3, strides=1", "kernel_size=5, strides=1"]
    for arm in arms[:3]:
        at = arm.settings["model.kernel_size"], arm.settings["model.strides"]
        own = np.array(ERRORS[at], float)
        lo, hi = stats.t.interval(0.95, 2, own.mean(), own.std(ddof=1) / np.sqrt(3))
        assert arm.error is not None
        assert (arm.error.mean, arm.error.lo, arm.error.hi) == pytest.approx((own.mean(), lo, hi))


def test_comparisons_are_paired_and_corrected_for_their_number(document):
    arms = arms_of(document["cells"], "test")
    differences = against_best(arms)
    assert differences[0] is None
    best = np.array(ERRORS[3, 1])
    for arm, difference in zip(arms[1:3], differences[1:3], strict=True):
        at = arm.settings["model.kernel_size"], arm.settings["model.strides"]
        gaps = np.array(ERRORS[at], float) - best
        lo, hi = stats.t.interval(1 - 0.05 / 3, 2, gaps.mean(), gaps.std(ddof=1) / np.sqrt(3))
        assert difference is not None
        assert (difference.lo, difference.hi) == pytest.approx((lo, hi))
        assert difference.separated == (not lo <= 0 <= hi)
    assert [difference.separated for difference in differences if difference] == [False, True, False]


def test_means_over_two_settings(document):
    axes = axes_of(document["cells"])
    assert axes == [("model.kernel_size", ("3", "5"), False), ("model.strides", ("1", "2"), False)]
    found = means_over(document["cells"], axes, "test")
    assert found["3", "2"] == (pytest.approx(np.mean(ERRORS[3, 2])), 3)
    assert found["5", "2"] == (0.5, 1)
    assert means_over(document["cells"], axes[:1], "test")["5",] == (pytest.approx((0.75 + 0.5) / 4), 4)


def test_the_page_holds_it_all_and_nothing_of_others_as_markup(workdir, capsys):
    assert main(["report", f"--workdir={workdir}"]) == 0
    assert capsys.readouterr().out.strip() == str(workdir / "report.html")
    page = (workdir / "report.html").read_text()
    assert page == write_sweep_report(workdir).read_text()
    assert "<h1>windows &amp; &lt;strides&gt;</h1>" in page
    assert "E-NAN-01: &lt;loss&gt; is nan" in page
    assert "10 of 12 cells done in 20.0 s" in page
    assert "not separated at n=3" in page
    assert "worse, +20.33 points" in page
    assert page.count("<title>kernel_size=") == 4 * (1 + 2 * 2), "a dot for every arm: cost, and two figures a setting"
    shades = re.findall(r'--share: (\d+)">([\d.]+)<', page)
    assert shades == [("0", "21.0"), ("70", "41.3"), ("14", "25.0"), ("100", "50.0")]
    links = re.findall(r'href="([^"]+)"', page)
    assert set(links) == {f"{k}{s}{seed}/" for k, s in ERRORS for seed in range(3)}


def test_validation_stands_in_where_there_is_no_test(document, workdir):
    for one in document["cells"]:
        one["test_error"] = None
    (workdir / "results.json").write_text(json.dumps(document))
    assert "validation error, %" in write_sweep_report(workdir).read_text()


@pytest.mark.parametrize(("text", "words"), [("{", "damaged"), ('{"cells": []}', "holds no cells"), ("[]", "damaged")])
def test_damaged_results_are_one_line(workdir, text, words):
    (workdir / "results.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        write_sweep_report(workdir)


def points(svg: str, style: str) -> list[tuple[float, float]]:
    """Where the middles of the markers of a style stand."""
    paths = re.findall(rf'<path d="M([^Z"]*)Z" class="{style}"', svg)
    corners = [[tuple(map(float, point.split())) for point in path.split("L")] for path in paths]
    return [tuple(np.mean([(min(c), max(c)) for c in zip(*path, strict=True)], axis=1)) for path in corners]


def test_a_setting_stands_against_error_and_cost(document):
    arms = arms_of(document["cells"], "test")
    kernels, strides = axes = axes_of(document["cells"])
    figures, ticks = setting_figures(arms, kernels, axes, "test")
    assert ticks == {"3": "3", "5": "5"}
    error, cost = figures
    titles = re.findall(r"<title>(kernel[^<:]*):", error)
    at = dict(zip(titles, points(error, "dot s6"), strict=True))
    left, right = sorted({round(x) for x, _ in at.values()})
    means = {arm.label: arm.error.mean for arm in arms if arm.error}
    assert {round(at[label][0]) for label in means if label.startswith("kernel_size=3")} == {left}
    # Heights are proportional to errors; a diamond is the mean of its column, as both lines have both values.
    heights = np.array([[mean, at[label][1]] for label, mean in means.items()])
    slope, start = np.polyfit(heights[:, 0], heights[:, 1], 1)
    assert heights[:, 1] == pytest.approx(slope * heights[:, 0] + start, abs=0.02)
    diamonds = points(error, "mean s4")
    assert [round(x) for x, _ in diamonds] == [left, right]
    for x, y in diamonds:
        column = [mean for label, mean in means.items() if round(at[label][0]) == round(x)]
        assert len(column) == 2
        assert y == pytest.approx(slope * np.mean(column) + start, abs=0.02)
    assert error.count('class="other"') == 2, "one line for each stride"
    assert error.count('class="whisker s6"') == 3, "one arm has one run"
    assert "30.0 k MACs" in cost
    assert len(setting_figures(arms, strides, axes, "test").figures) == 2


def test_a_name_stands_for_its_settings(document):
    """Of arms with names each is a value, and what the names do not determine is a setting of its own."""
    for one in document["cells"]:
        settings = one["settings"]
        settings |= {
            "arm": f"window {settings['model.kernel_size']}",
            "model.padding": settings["model.kernel_size"] // 2,
        }
    arms = arms_of(document["cells"], "test")
    axes = axes_of(document["cells"])
    assert axes == [("arm", ("window 3", "window 5"), False), ("model.strides", ("1", "2"), False)]
    figures = [setting_figures(arms, axis, axes, "test").figures[0] for axis in axes]
    assert [figure.count('class="other"') for figure in figures] == [2, 2], "joined though the padding differs as well"


def test_cost_is_drawn_where_a_setting_changes_it(document):
    for one in document["cells"]:
        one["macs"] = 1000 * one["settings"]["model.strides"]
    arms = arms_of(document["cells"], "test")
    axes = axes_of(document["cells"])
    assert [len(setting_figures(arms, axis, axes, "test").figures) for axis in axes] == [1, 2]
    for one in document["cells"]:
        one["macs"] = 1000
    assert cost_figure(arms_of(document["cells"], "test"), "test") is None


def test_values_that_do_not_fit_are_numbered():
    names = [f"a long name of a network, {number}" for number in range(5)]
    cells = [cell(3, 1, 0, 0.2 + number / 100) | {"id": name} for number, name in enumerate(names)]
    for one in cells:
        one["settings"] = {"model.name": one["id"]}
    (axis,) = axes_of(cells)
    ticks = setting_figures(arms_of(cells, "test"), axis, [axis], "test").ticks
    assert ticks == {name: str(number) for number, name in enumerate(names, 1)}


def test_the_values_of_a_search_each_stand_in_their_place():
    rates = np.geomspace(1e-3, 1, 13)
    cells = [cell(3, 1, 0, 0.2 + number / 100) | {"id": str(number)} for number in range(13)]
    for one, rate in zip(cells, rates, strict=True):
        one["settings"] = {"optimizer.learning_rate": float(rate)}
    (axis,) = axes_of(cells)
    assert axis.searched
    (figure,) = setting_figures(arms_of(cells, "test"), axis, [axis], "test").figures
    places = sorted(x for x, _ in points(figure, "dot s6"))
    assert np.diff(places) == pytest.approx(np.full(12, np.diff(places).mean()), abs=0.02), "equal ratios"
    assert "learning_rate, logarithmic" in figure


def test_curves_are_means_over_seeds_with_their_band(document, tmp_path):
    arms = arms_of(document["cells"], "test")
    accuracy = {0: (0.1, 0.5), 1: (0.2, 0.6), 2: (0.3, 0.4)}
    for seed, values in accuracy.items():
        folder = tmp_path / f"31{seed}"
        folder.mkdir()
        lines = [{"step": 10 * k, "split": "validation", "accuracy": v} for k, v in enumerate(values, 1)]
        lines += [{"step": 10 * k, "split": "train", "accuracy": v} for k, v in enumerate(values, 1)]
        lines += [{"step": 30, "split": "train", "accuracy": 0.9}] * (seed == 0)  # the others do not have it
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut')
    (panel,) = curve_panels(arms, tmp_path)
    assert panel.label == "kernel_size=3, strides=1"
    assert "50.0 % at step 20" in panel.figures
    wide = panel.figures.partition("</svg>")[0]
    (band,) = re.findall(r'<path d="M([^Z"]*)Z" class="band s6"', wide)
    (curve,) = re.findall(r'<path d="M([^"]*)" class="curve s6"', wide)
    upper, *_, lower = ([float(n) for n in point.split()] for point in band.split("L"))
    (x, y), (_, end) = ([float(n) for n in point.split()] for point in curve.split("L"))
    assert upper[0] == lower[0] == x
    lo, hi = stats.t.interval(0.95, 2, 0.8, 0.1 / np.sqrt(3))
    unit = (end - y) / 0.3  # an error of 0.8 falls to 0.5
    assert hi > 1, "cut off by the panel"
    assert lower[1] - y == pytest.approx((0.8 - max(lo, 0.485)) * unit, abs=0.1)
