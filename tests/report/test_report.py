from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from synthetic_history import NETWORKS, synthetic

from cnn_jax.errors import CheckpointError
from cnn_jax.report import history_table, write_history_report
from cnn_jax.report.deviations import deviations

Document = dict[str, Any]
Write = Callable[[Document], Path]
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page: its text, its links, its ids, and whether every element is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if values.get("id"):
            self.ids.append(values["id"] or "")
        if tag == "a":
            self.links.append((values.get("href") or "", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["title"]):
            self.words.append(data)
        if self.open[-1:] == ["a"] and self.links:
            self.links[-1] = (self.links[-1][0], self.links[-1][1] + data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(workdir: Path) -> tuple[str, Page]:
    text = write_history_report(workdir).read_text(encoding="utf-8")
    return text, Page(text)


def fail(document: Document, family: str, seed: int, error: str = "E-NAN-01: the loss is not finite") -> None:
    cell = next(c for c in document["cells"] if (c["family"], c["seed"]) == (family, seed))
    for key in ("test", "train", "validation", "curve", "seconds", "steps", "best_step"):
        cell.pop(key)
    cell.update(status="failed", error=error)


def test_it_needs_nothing_from_outside(document: Document, write: Write):
    text, page = read(write(document))
    assert not re.search(r"(https?:)?//|@import|url\(", text)
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(page.tags)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_every_seeds_error_links_to_its_run(document: Document, write: Write):
    _, page = read(write(document))
    for cell in document["cells"]:
        shown = f"{100 * (1 - cell['test']['accuracy']):.2f}"
        assert page.links.count((f"./{cell['workdir']}/", shown)) >= 2  # among the networks and among the runs
        for file in ("metrics.jsonl", "DONE"):
            assert f"./{cell['workdir']}/{file}" in {href for href, _ in page.links}


def test_links_within_the_page_lead_somewhere(document: Document, write: Write):
    _, page = read(write(document))
    assert len(set(page.ids)) == len(page.ids)
    assert {href[1:] for href, _ in page.links if href.startswith("#")} <= set(page.ids)


def test_numbers_are_those_of_the_results(document: Document, write: Write):
    import scipy.stats

    _, page = read(write(document))
    for family, label, _, _, _, params, macs, _ in NETWORKS:
        errors = [1 - c["test"]["accuracy"] for c in document["cells"] if c["family"] == family]
        mean = sum(errors) / 3
        half = scipy.stats.sem(errors) * scipy.stats.t.ppf(0.975, 2)
        seeds = " ".join(f"{100 * error:.2f}" for error in errors)
        row = f"{100 * mean:.1f} ± {100 * half:.1f} {seeds} {params:,} {macs:,}"
        assert row in page.text, (label, row)


def test_the_answer_says_what_the_paired_intervals_say(document: Document, write: Write):
    import scipy.stats

    _, page = read(write(document))
    errors = {
        label: [1 - c["test"]["accuracy"] for c in document["cells"] if c["family"] == family]
        for family, label, *_ in NETWORKS
    }
    falls, rises, unclear = 0, [], []
    labels = list(errors)
    for before, after in itertools.pairwise(labels):
        test: Any = scipy.stats.ttest_rel(errors[after], errors[before])
        if test.pvalue >= 0.05:
            unclear.append(after)
        elif test.statistic < 0:
            falls += 1
        else:
            rises.append(after)
    assert (rises, unclear) == (["Xception"], ["GoogLeNet"]), "the synthetic results should show all three cases"
    assert "ResNet (2015) has the lowest test error, 15.5 % (95% interval" in page.text
    assert f"the error falls in {falls} of 8 steps, rises at Xception and is not separated at GoogLeNet." in page.text


def test_what_is_not_separated_is_not_called_better(document: Document, write: Write):
    for cell in document["cells"]:
        if cell["family"] == "xception":  # as good as ResNet on the mean, but for a spread of three points
            resnet = next(c for c in document["cells"] if (c["family"], c["seed"]) == ("resnet", cell["seed"]))
            cell["test"]["accuracy"] = resnet["test"]["accuracy"] - 0.002 + 0.03 * (cell["seed"] - 1)
    _, page = read(write(document))
    assert "It is not separated from Xception at n=3." in page.text
    assert "not separated at n=3 from ResNet" in page.text


def test_one_seed_has_no_intervals_and_separates_nothing(write: Write):
    _, page = read(write(synthetic(seeds=1)))
    assert "(n = 1: no interval)" in page.text
    assert "no two networks are separated" in page.text
    assert "±" not in page.text.replace("± is half", "")
    assert not re.search(r"\b(better|worse) than (?!anything)", page.text)


def test_failed_and_missing_runs_are_shown_and_left_out(document: Document, write: Write):
    for seed in range(3):
        fail(document, "alexnet", seed, error="E-NAN-01: the loss is <nan> at step 3")
    missing = next(c for c in document["cells"] if (c["family"], c["seed"]) == ("xception", 2))
    for key in ("test", "train", "validation", "curve", "seconds", "steps", "best_step"):
        missing.pop(key)
    missing.update(status="missing", error=None)
    _, page = read(write(document))
    assert page.text.count("E-NAN-01: the loss is <nan> at step 3") == 3
    assert "3 of 27 runs failed (AlexNet); the means leave them out." in page.text
    assert "1 of 27 runs is missing (Xception); the means leave it out." in page.text
    assert "not separated at n=2" in page.text
    assert page.text.count("= 3, fewer where runs failed)") == 2


def test_nothing_done_still_gives_a_page(document: Document, write: Write):
    for cell in list(document["cells"]):
        fail(document, cell["family"], cell["seed"])
    _, page = read(write(document))
    assert "No run has finished" in page.text


def test_other_peoples_text_stays_text(document: Document, write: Write):
    evil = "<script>alert(1)</script>\"'&"
    document["classes"] = [evil] * 10
    document["data"] = f"folder:/tmp/{evil}"
    document["networks"][0]["label"] = evil
    document["networks"][0]["paper"] = evil
    document["cells"][0]["workdir"] = "javascript:alert(1)"
    document["cells"][1]["workdir"] = '"><script>alert(2)</script>'
    document["environment"]["commit"] = evil
    fail(document, "mlp", 0, error=evil)
    text, page = read(write(document))
    assert "<script" not in text
    assert evil in page.text
    for href, _ in page.links:
        assert href.startswith(("./", "#")), href
        assert not urlsplit(href).scheme
    assert "./javascript:alert(1)/" in {unquote(href) for href, _ in page.links}


def test_small_errors_get_a_logarithmic_axis_and_two_decimals(write: Write):
    text, page = read(write(synthetic(scale=0.12)))
    assert "test error (%), logarithmic" in text
    assert re.search(r"1\.\d\d ± 0\.\d\d", page.text)


def test_what_differs_is_read_from_the_configs(document: Document, write: Write):
    workdir = write(document)
    for cell in document["cells"]:
        own = workdir / cell["workdir"]
        own.mkdir()
        rate = 0.1 if cell["family"] == "resnet" else 0.05
        (own / "config.json").write_text(
            f'{{"seed": {cell["seed"]}, "batch_size": 128, "optimizer": {{"learning_rate": {rate}, "momentum": 0.9}}}}'
        )
    _, page = read(workdir)
    assert page.text.count("optimizer.learning_rate = 0.05") == 8
    assert page.text.count("optimizer.learning_rate = 0.1") == 1
    assert "optimizer.momentum =" not in page.text


def test_deviations_are_those_the_networks_files_state(document: Document, write: Write):
    _, page = read(write(document))
    for family in ("alexnet", "zfnet", "vgg", "googlenet", "resnet", "xception"):
        source = (files("cnn_jax.models") / f"{family}.py").read_text(encoding="utf-8")
        stated = re.search(r"^Deviations of `small`[^:]*: (.*?)\n(\n|\"\"\")", source, re.DOTALL | re.MULTILINE)
        assert stated, family
        assert " ".join(stated[1].replace("`", "").split()) in page.text, family


@pytest.mark.parametrize("model", ["vgg:A", "vgg", "../errors:small", "no_such_family:small", ":small", ""])
def test_other_models_have_no_deviations(model: str):
    assert deviations(model) == ""


def test_the_terminals_table_has_the_same_numbers(document: Document):
    fail(document, "xception", 2)
    lines = history_table(document).splitlines()
    assert " ".join(lines[0].split()) == "network year parameters MACs test error, % each seed, % time a run"
    assert " ".join(lines[8].split()) == "ResNet 2015 272,474 40.8 M 15.5 ± 1.6 14.80 15.54 16.07 26.0 s"
    assert "failed" in lines[9]
    assert any(line.startswith("ResNet (2015) has the lowest test error, 15.5 %") for line in lines)
    with pytest.raises(CheckpointError, match="E-CKPT-22: the document is not"):
        history_table({})


def test_the_same_results_give_the_same_page(document: Document, write: Write):
    assert read(write(document))[0] == read(write(document))[0]


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "E-CKPT-20"), ("{", "E-CKPT-21"), ("{}", "E-CKPT-22"), ("[]", "E-CKPT-22"), ("null", "E-CKPT-22")],
)
def test_bad_results_are_one_line_and_leave_no_page(tmp_path: Path, content: str | None, code: str):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(CheckpointError, match=code) as caught:
        write_history_report(tmp_path)
    assert "\n" not in str(caught.value)
    assert "results.json" in str(caught.value)
    assert not list(tmp_path.glob("*report*"))


def test_a_report_that_cannot_be_written_says_so(document: Document, write: Write):
    workdir = write(document)
    (workdir / "report.html").mkdir()
    with pytest.raises(CheckpointError, match="E-CKPT-23"):
        write_history_report(workdir)
    assert not list(workdir.glob(".report*"))


def test_importing_it_imports_no_jax():
    code = "import cnn_jax.report, sys; print([m for m in ('jax', 'flax', 'matplotlib', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
