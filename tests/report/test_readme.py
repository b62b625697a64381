from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_history import synthetic

from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.report.readme import main, regenerate

README = """# Title

<!-- generated: history -->
old
<!-- end -->

Between.

<!-- generated: mnist:answer -->
<!-- end -->
After.
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "history.json").write_text(json.dumps(synthetic()))
    (folder / "mnist.json").write_text(json.dumps(synthetic(scale=0.1)))
    return folder


def test_sections_are_made_and_the_rest_is_kept(results: Path):
    made = regenerate(README, results)
    assert made.startswith("# Title\n\n<!-- generated: history -->\n| network |")
    assert "<!-- end -->\n\nBetween.\n\n<!-- generated: mnist:answer -->\nResNet (2015) has the lowest" in made
    assert made.endswith("\n<!-- end -->\nAfter.\n")
    assert "old" not in made
    assert "| **ResNet** | 2015 | 272,474 | 40.8 M | 15.5 ± 1.6 | 12.4 ± 1.3 | 3 | 26.0 s |" in made
    rows = [line for line in made.splitlines() if line.startswith("|")]
    assert len(rows) == 11
    assert {row.count("|") for row in rows} == {9}
    assert regenerate(made, results) == made


def test_text_of_others_cannot_break_the_table(results: Path):
    document = synthetic()
    document["networks"][0]["label"] = "a|b<i>"
    (results / "history.json").write_text(json.dumps(document))
    assert "| a\\|b\\<i\\> |" in regenerate(README, results)


def test_recipes_are_gathered_in_one_table(results: Path):
    text = "<!-- generated: recipes -->\n<!-- end -->\n"
    with pytest.raises(CheckpointError, match="holds no recipe"):
        regenerate(text, results)
    for family, data, scale in (("lenet", "MNIST", 0.02), ("resnet", "CIFAR-10 (JPEG)", 0.8)):
        document = {**synthetic(scale=scale, epochs=20), "preset": "recipe", "data": data}
        for key in ("networks", "cells"):
            document[key] = [entry for entry in document[key] if entry["family"] == family]
        (results / f"{family}.json").write_text(json.dumps(document))
    (results / "history-learning-rates.json").write_text("[]")
    rows = [line for line in regenerate(text, results).splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert rows[1].startswith("| LeNet-5 | MNIST | 20 epochs | 62,006 | 0.98 ± 0.03 | 3 | ")
    assert rows[2].startswith("| ResNet | CIFAR-10 (JPEG) | 20 epochs | 272,474 | 12.4 ± 1.3 | 3 | ")
    (results / "broken.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"broken\.json is damaged"):
        regenerate(text, results)


@pytest.mark.parametrize(
    "text",
    ["<!-- generated: history -->\nno end", "<!-- generated: history:nonsense -->\n<!-- end -->\n",
     "<!-- generated: ../history -->\n<!-- end -->\n", "<!-- generated: a b -->\n<!-- end -->\n"],
)  # fmt: skip
def test_malformed_sections_are_refused(results: Path, text: str):
    with pytest.raises(ConfigError, match="generated section"):
        regenerate(text, results)


def test_check_finds_what_is_out_of_date(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    readme = tmp_path / "README.md"
    readme.write_text(README)
    arguments = ["--readme", str(readme), "--results", str(results)]
    assert main([*arguments, "--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert readme.read_text() == README
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    (results / "mnist.json").unlink()
    assert main([*arguments, "--check"]) == 4
    assert "mnist.json" in capsys.readouterr().err
