"""Claims: docstrings as data, comparison to the digits printed, verdicts that stand or fall."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cnn_jax.errors import CheckpointError, ConfigError
from cnn_jax.main import main
from cnn_jax.report.readme import regenerate
from cnn_jax.sweep import cells as cells_module
from cnn_jax.sweep import images as images_module
from cnn_jax.sweep.claims import (
    NOT_REPRODUCED,
    REPRODUCED,
    Compared,
    Finding,
    all_hold,
    compare,
    read_question,
    read_questions,
)
from cnn_jax.sweep.ledger import complaints
from tests.toy import toy_dataset

EXACT = '''
"""Is two and two four?

Id: C7
Claim: two and two
    are four.
Source: school, first year.
Published: 4.
Rule: reproduced if equal.
Cost: exact; none.

    cnn-jax claims --run sum
"""
from cnn_jax.sweep.claims import all_hold, compare

def claim():
    return all_hold("2 + 2 = 4", [compare("sum", 4, 2 + 2), compare("share, %", 33.3, 100 / 3, digits=1)])
'''
TRAINED = '''
"""Does a wider net do better?

Id: C10
Claim: yes.
Source: folklore, everywhere.
Published: better.
Rule: reproduced if the errors of two seeds separate.
Cost: seconds.
"""
from ml_collections import ConfigDict
from cnn_jax.sweep.claims import NOT_SEPARATED, REPRODUCED, Finding
from cnn_jax.sweep.space import named, product, seeds
from cnn_jax.sweep.statistics import paired_difference

def get_config(arg=""):
    return ConfigDict(dict(model=dict(name="mlp:4"), batch_size=32, total_steps=2, data="shapes:tiny", num_devices=1))

def sweep(add):
    for settings in product(named({"narrow": {"model.name": "mlp:2"}, "wide": {}}), seeds(2)):
        add(**settings)

def claim(results):
    errors = {arm: rows.sort_values("seed").test_error.tolist() for arm, rows in results.groupby("arm")}
    difference = paired_difference(errors["wide"], errors["narrow"])
    return Finding(REPRODUCED if difference.separated else NOT_SEPARATED, f"{difference.mean:.2f}")
'''


@pytest.fixture
def folder(tmp_path):
    directory = tmp_path / "experiments"
    directory.mkdir()
    (directory / "sum.py").write_text(EXACT)
    return directory


@pytest.mark.parametrize("truth", [True, False])
def test_findings_may_come_from_numpys_comparisons(truth):
    holds: Any = np.bool_(truth)
    finding = Finding(REPRODUCED, "1", (Compared("MACs", 1, np.float64(2), holds),))
    assert json.loads(json.dumps(finding.to_dict()))["compared"][0]["holds"] is truth


def test_a_docstring_is_read_as_data(folder):
    question = read_question(folder / "sum.py")
    assert question is not None
    assert (question.id, question.title, question.exact) == ("C7", "Is two and two four?", True)
    assert question.claim == "two and two are four."
    assert question.cost == "exact; none."
    (folder / "geometry.py").write_text('"""A sweep that claims nothing."""\ndef sweep(add): ...\n')
    (folder / "wide.py").write_text(TRAINED)
    assert [q.id for q in read_questions(folder)] == ["C7", "C10"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("Rule: reproduced", "Reproduced"), "has no Rule:"),
        (("def claim", "def claim("), "is not Python"),
        (("def claim()", "def claim(results)"), "no sweep"),
    ],
)
def test_faults_of_a_file_are_named(folder, change, words):
    (folder / "sum.py").write_text(EXACT.replace(*change))
    with pytest.raises(ConfigError, match=words):
        read_questions(folder)


def test_one_number_is_one_claim(folder):
    (folder / "other.py").write_text(EXACT)
    with pytest.raises(ConfigError, match="are both C7"):
        read_questions(folder)


@pytest.mark.parametrize(
    ("published", "measured", "options", "holds"),
    [
        (12, 8.71, {"digits": 0}, False),
        (2, 2.18, {"digits": 0}, True),
        (303.5, 303.464, {"digits": 1}, True),
        (303.5, 303.44, {"digits": 1}, False),
        (60_000_000, 60_965_224, {"significant": 1}, True),
        (61_000_000, 62_378_344, {"significant": 2}, False),
        ((1, 2), [1, 2], {}, True),
        ([[1.04], [2]], [[1.0], [2]], {"digits": 1}, True),
        (1, 1.0000001, {}, False),
        ("a", "a", {"digits": 2}, True),
    ],
)
def test_numbers_agree_to_the_digits_printed(published, measured, options, holds):
    assert compare("x", published, measured, **options).holds is holds


def test_one_number_that_is_off_decides():
    good, bad = compare("a", 1, 1), compare("b", 1, 2)
    assert all_hold("", [good, good]).verdict == REPRODUCED
    assert all_hold("", [good, bad]).verdict == NOT_REPRODUCED
    assert all_hold("", []).verdict == NOT_REPRODUCED


def test_a_verdict_stands_until_code_rule_or_result_change(folder, capsys):
    command = ["claims", f"--experiments={folder}"]
    assert main([*command, "--run", "C7", "--write", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["stands"] is None
    assert main([*command, "--run", "sum"]) == 0
    assert "the committed verdict stands" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert (row["verdict"], row["says"], row["claim"]) == ("reproduced", "2 + 2 = 4", "two and two are four.")
    question = read_question(folder / "sum.py")
    assert question is not None
    assert complaints(question) == []

    (folder / "sum.py").write_text(EXACT.replace("if equal", "always"))
    changed = read_question(folder / "sum.py")
    assert changed is not None
    assert any("rule was 'reproduced if equal.'" in line for line in complaints(changed))
    (folder / "sum.py").write_text(EXACT.replace("2 + 2)", "2 + 3)"))
    assert any("the verdict was 'reproduced'" in line for line in complaints(question))
    assert main([*command, "--run", "exact"]) == 1
    assert "does not stand" in capsys.readouterr().out


def test_a_verdict_that_was_touched_is_found(folder):
    assert main(["claims", f"--experiments={folder}", "--run", "all", "--write", "--json"]) == 0
    file = folder / "results" / "claims" / "sum.json"
    file.write_text(file.read_text().replace('"verdict": "reproduced"', '"verdict": "not reproduced"'))
    question = read_question(folder / "sum.py")
    assert question is not None
    assert complaints(question) == ["sum: the verdict was 'not reproduced' and is 'reproduced'"]


def test_the_ledger_is_a_table_of_the_readme(folder):
    assert main(["claims", f"--experiments={folder}", "--run", "all", "--write", "--json"]) == 0
    text = "<!-- generated: ledger -->\n<!-- end -->\n"
    made = regenerate(text, folder / "results")
    row = "| [C7](experiments/sum.py) | Is two and two four? | school: 4. | 2 + 2 = 4 | exact | **reproduced** |"
    assert row in made.splitlines()
    (folder / "results" / "claims" / "sum.json").write_text('{"id": "C7"}')
    with pytest.raises(CheckpointError, match=r"sum\.json lacks"):
        regenerate(text, folder / "results")
    with pytest.raises(CheckpointError, match="holds no results"):
        regenerate(text, folder)


@pytest.mark.slow
def test_a_trained_claim_runs_its_sweep_and_is_judged_again_on_what_is_committed(folder, tmp_path, capsys, monkeypatch):
    dataset = toy_dataset(size=32)
    for module in (cells_module, images_module):
        monkeypatch.setattr(module, "load_config_data", lambda config: dataset)
    (folder / "wide.py").write_text(TRAINED)
    command = ["claims", f"--experiments={folder}", f"--workdir={tmp_path / 'w'}", "--run", "wide", "--json"]
    assert main([*command, "--write", "--config.batch_size=16"]) == 0
    document = json.loads(capsys.readouterr().out)[0]
    assert (document["n"], len(document["cells"]), document["data"]) == (2, 4, "toy")
    assert {row["settings"]["arm"] for row in document["cells"]} == {"narrow", "wide"}
    question = read_question(folder / "wide.py")
    assert question is not None
    assert complaints(question) == ["wide: config.batch_size: 32, not 16 when it was run"]
    assert main([*command, "--write"]) == 0
    assert complaints(question) == []
    file = folder / "results" / "claims" / "wide.json"
    stored = json.loads(file.read_text())
    for row in stored["cells"]:
        row["test_error"] = (0.5 if row["settings"]["arm"] == "narrow" else 0.1) + 0.01 * row["seed"]
    file.write_text(json.dumps(stored))
    assert any("the verdict was 'not separated' and is 'reproduced'" in line for line in complaints(question))
    (folder / "wide.py").write_text(TRAINED.replace("total_steps=2", "total_steps=3"))
    assert any("config.total_steps: 3, not 2 when it was run" in line for line in complaints(question))


def test_at_the_papers_scale_a_claim_has_a_result_of_its_own(folder, tmp_path, capsys, monkeypatch):
    dataset = toy_dataset(size=32)
    for module in (cells_module, images_module):
        monkeypatch.setattr(module, "load_config_data", lambda config: dataset)
    file = folder / "wide.py"
    file.write_text(TRAINED)
    command = ["claims", f"--experiments={folder}", f"--workdir={tmp_path / 'w'}", "--json"]
    assert main([*command, "--run", "wide", "--preset=gpu"]) == 2
    assert "wide has no preset 'gpu'" in capsys.readouterr().err
    longer = TRAINED.replace("Cost: seconds.", "Cost: seconds.\nGpu: minutes.")
    file.write_text(longer.replace("total_steps=2", "total_steps=3 if arg == 'gpu' else 2"))
    for name in ("wide", "all"):  # `all` leaves the sum out, which trains nothing
        assert main([*command, "--run", name, "--preset=gpu", "--write", f"--output={tmp_path / 'out'}"]) == 0
        (document,) = json.loads(capsys.readouterr().out)
        written = json.loads((tmp_path / "out" / "wide.json").read_text())
        assert written == {key: value for key, value in document.items() if key != "stands"}
        assert written == json.loads((folder / "results" / "claims" / "gpu" / "wide.json").read_text())
        assert (document["preset"], document["cost"], document["config"]["total_steps"]) == ("gpu", "minutes.", 3)
    question = read_question(file)
    assert question is not None
    assert complaints(question) == ["wide has no committed result: cnn-jax claims --run wide --write"]
    assert complaints(question, "gpu") == []
    assert main(command) == 0
    rows = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "wide"]
    assert [(row["preset"], row["verdict"]) for row in rows] == [("laptop", None), ("gpu", document["verdict"])]
    section = "<!-- generated: ledger -->\n<!-- end -->"
    assert "[C10](experiments/wide.py), gpu | Does a wider" in regenerate(section, folder / "results")


def test_unknown_names_are_refused(folder, capsys):
    assert main(["claims", f"--experiments={folder}", "--run", "C8"]) == 2
    assert "use exact, all, or C7, sum" in capsys.readouterr().err
    assert main(["claims", f"--experiments={folder / 'nowhere'}"]) == 2
    assert "--experiments=DIR" in capsys.readouterr().err
