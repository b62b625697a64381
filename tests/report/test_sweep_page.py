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
from cnn_jax.report.sweep_results import against_best, arms_of, axes_of, means_over

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
    assert [(axis.key, axis.values) for axis in axes] == [
        ("model.kernel_size", ("3", "5")),
        ("model.strides", ("1", "2")),
    ]
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
    assert page.count("<title>kernel_size=") == 4, "a dot for every arm"
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
