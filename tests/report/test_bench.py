"""Tables of benchmarks from result files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.bench.result import Result, Target
from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.report.readme import main, regenerate

HEAD = {
    "id": "C1",
    "measures": "training of six networks",
    "device": "cpu",
    "date": "2026-01-02",
    "blocks": 7,
    "environment": {"devices": ["cpu"], "cpu_count": 2, "versions": {"jax": "0.10.2"}},
}


def document(**head: Any) -> dict[str, Any]:
    """A result with two cases against two peers, one of which is not there."""
    result = Result({**HEAD, **head}, (Target("F", 1.5, 3), Target("K", 1.5, 3)), complete=True)
    for case, theirs in (("lenet:small", [8.0, 10.0]), ("vgg:small", [2.0, 2.5])):
        row = result.row(case, "F", ours=[1.0, 1.0], theirs=theirs)
        row.facts["proof"] = {"difference": 2.2e-7}
    result.absent["K, lenet:small"] = "No module named 'keras' | <b>"
    return result.to_dict()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "C1.json").write_text(json.dumps(document()))
    return tmp_path


def section(name: str, results: Path) -> str:
    return regenerate(f"<!-- generated: {name} -->\n<!-- end -->\n", results)


def test_what_was_reached(results):
    made = section("bench:cpu", results)
    assert "| C1 | training of six networks | F | 2 | **4.5** | 4 to 5 | 1.5 | 3 |" in made
    assert "| C1 | training of six networks | K |  | not measured |  | 1.5 | 3 |" in made
    assert "cpu, 2 processors, JAX 0.10.2, 2026-01-02, 7 blocks a side." in made
    assert "K, lenet:small is absent: No module named 'keras' \\| \\<b>." in made


def test_case_by_case(results):
    made = section("bench:C1", results)
    assert "| lenet:small | F | 9 | 8 to 10 | to 2e-07 |" in made


def test_before_anything_is_measured(results):
    assert "Not measured yet: `cnn-jax bench gpu --write`." in section("bench:gpu", results)
    assert "Not measured yet: `cnn-jax bench traps --write`." in section("bench:traps", results)


def test_a_run_that_was_cut_short_is_told(results):
    (results / "bench" / "C2.json").write_text(json.dumps(document(id="C2") | {"complete": False}))
    assert "C2 was cut short." in section("bench:cpu", results)


def test_what_cannot_be_read(results):
    with pytest.raises(ConfigError, match="E-CONF-267"):
        section("bench:../x", results)
    (results / "bench" / "C1.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"E-CKPT-260: .*C1\.json is damaged"):
        section("bench:C1", results)
    (results / "bench" / "C1.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"E-CKPT-260: .*lacks absent, blocks"):
        section("bench:cpu", results)


def test_the_page_is_up_to_date():
    root = Path(__file__).parents[2]
    page, stored = root / "docs" / "performance.md", root / "experiments" / "results"
    assert main(["--check", f"--readme={page}", f"--results={stored}"]) == 0
