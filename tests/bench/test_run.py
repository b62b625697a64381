"""Benchmarks from the command line at the size of a test."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.bench import table
from cnn_jax.bench.result import Target
from cnn_jax.bench.run import Settings, run
from cnn_jax.bench.table import BENCHMARKS, Benchmark, chosen
from cnn_jax.commands import benchmarks as command
from cnn_jax.errors import BenchError, ConfigError
from cnn_jax.main import main

KEYS = {
    "id", "measures", "device", "preset", "blocks", "threads", "date", "environment", "variables", "complete", "error",
    "seconds", "summary", "rows", "absent", "notes",
}  # fmt: skip
ROW = {"case", "peer", "ratio", "ratios", "seconds", "work", "figures", "facts"}


def bench(capsys, *arguments: str) -> list[dict[str, Any]]:
    """Runs the command with --json; its results."""
    assert main(["bench", *arguments, "--preset=smoke", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for result in found:
        assert result.keys() == KEYS
        assert all(row.keys() == ROW for row in result["rows"])
        assert result["preset"] == "smoke"
        assert result["complete"]
        assert result["environment"]["versions"]["jax"]
    return found


def test_the_table_is_whole():
    assert [row.id for row in BENCHMARKS] == [f"C{i}" for i in range(1, 8)] + ["traps"] + [f"G{i}" for i in range(1, 7)]
    for row in BENCHMARKS:
        assert callable(row.function())
        assert row.targets


def test_names_of_benchmarks():
    assert [row.id for row in chosen(["gpu", "c3"])] == ["C3", *(f"G{i}" for i in range(1, 7))]
    assert chosen(["all"]) == list(BENCHMARKS)
    with pytest.raises(ConfigError, match="E-CONF-261: no benchmark 'C9': use all, cpu, gpu, C1"):
        chosen(["C9"])


@pytest.mark.bench
def test_an_epoch_in_one_call(capsys, tmp_path):
    before = os.sched_getaffinity(0)
    (result,) = bench(capsys, "C3", "--blocks=1", f"--output={tmp_path}")
    assert os.sched_getaffinity(0) == before
    assert {(row["case"], row["peer"]) for row in result["rows"]} == {
        ("lenet:small", peer) for peer in ("step", "scan")
    }
    for row in result["rows"]:
        assert row["facts"]["proof"]["steps"] == 5
        assert row["facts"]["proof"]["difference"] <= 1e-3
        assert len(row["ratios"]) == 1
    stored = json.loads((tmp_path / "C3.json").read_text())
    assert stored["rows"] == result["rows"]


@pytest.mark.bench
def test_images_into_the_step(capsys):
    (result,) = bench(capsys, "C7", "--blocks=1")
    assert [row["peer"] for row in result["rows"]] == ["grain, 0 workers", "grain, 2 workers"]
    assert all(row["figures"]["images_per_second"]["median"] > 0 for row in result["rows"])


@pytest.mark.bench
def test_traps(capsys):
    (result,) = bench(capsys, "traps", "--blocks=1")
    assert len(result["rows"]) == 13
    assert all(row["facts"].get("difference", 0) < 2e-3 for row in result["rows"])


@pytest.mark.bench
def test_second_launch_of_a_sweep(capsys):
    (result,) = bench(capsys, "C5", "--blocks=1")
    assert result["rows"][0]["ratio"]["median"] > 1


@pytest.mark.bench
def test_populations_without_peers(capsys, tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'No module named keras' >&2\nexit 1\n")
    script.chmod(0o755)
    four, together = bench(capsys, "C4", "G4", "--blocks=1", f"--peer_python={script}")
    assert "No module named keras" in four["absent"]["K"]
    assert [row["peer"] for row in four["rows"]] == ["vmap"]
    assert [row["case"] for row in together["rows"]] == ["lenet:small"]


SMOKE = Settings(True, None, Path("python"))
TEST = Benchmark("T", "a test", "cpu", (Target("F", 1, 2),), "")


def test_a_benchmark_that_fails_is_written_down(monkeypatch):
    def fails(context):
        context.result.row("a", "F", ours=[1.0], theirs=[2.0])
        raise BenchError(264, "F does other work")

    kept, said = [], []
    monkeypatch.setattr(Benchmark, "function", lambda self: fails)
    (found,) = run([TEST], SMOKE, kept.append, said.append)
    assert found["error"] == "E-BENCH-264: F does other work"
    assert not found["complete"]
    assert kept[-1]["error"] == found["error"]
    assert said == ["T: E-BENCH-264: F does other work"]


def test_a_benchmark_that_breaks_takes_no_other_down(monkeypatch):
    def breaks(context):
        if context.result.head["id"] == "T":
            raise RuntimeError("RESOURCE_EXHAUSTED: 80 GB\nand a long story")

    monkeypatch.setattr(Benchmark, "function", lambda self: breaks)
    first, second = run([TEST, TEST._replace(id="U")], SMOKE, lambda document: None, lambda text: None)
    assert first["error"] == "RuntimeError: RESOURCE_EXHAUSTED: 80 GB"
    assert second["complete"]


def test_what_was_measured_survives_an_interruption(monkeypatch):
    def interrupted(context):
        row = context.result.row("a", "F")
        rounds = [1.0, 1.0]

        def ours() -> float:
            if not rounds:
                raise KeyboardInterrupt
            return rounds.pop()

        context.measure("a", {"ours": ours, "F": lambda: 3.0}, {"F": row}, blocks=9, settle=0)

    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(Benchmark, "function", lambda self: interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([TEST], SMOKE, kept.append, lambda text: None)
    assert kept[-1]["rows"][0]["ratios"] == [3.0, 3.0]
    assert kept[-1]["summary"][0]["value"]["median"] == 3.0
    assert not kept[-1]["complete"]


def test_too_few_blocks_say_nothing(capsys):
    assert main(["bench", "C3", "--blocks=3"]) == 2
    assert "E-CONF-262: --blocks=3: at least 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["C3", "--write", "--preset=smoke"], "E-CONF-265"),
        (["C3", "--config.seed=1"], "E-CONF-264"),
        (["C10"], "E-CONF-261"),
        (["G2"], "E-CONF-263: G2: this machine has no gpu"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments, error, capsys):
    assert main(["bench", *arguments]) == 2
    written = capsys.readouterr()
    assert error in written.err
    assert written.out == ""


def test_a_result_is_written_from_a_commit_only(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cnn_jax.train.workdir.source_commit", lambda: "abc+")
    assert main(["bench", "C3", "--write"]) == 2
    assert "E-CONF-266" in capsys.readouterr().err
    monkeypatch.setattr("cnn_jax.train.workdir.source_commit", lambda: "abc")
    monkeypatch.setattr(Benchmark, "function", lambda self: lambda context: None)
    assert main(["bench", "C3", "--write"]) == 0
    assert json.loads((tmp_path / command._RESULTS / "C3.json").read_text())["complete"]


def test_one_file_for_all_of_them(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(Benchmark, "function", lambda self: lambda context: None)
    assert main(["bench", "C3", "C1", "--preset=smoke", f"--output={tmp_path / 'all.json'}"]) == 0
    assert [result["id"] for result in json.loads((tmp_path / "all.json").read_text())] == ["C1", "C3"]


def test_a_recipe_that_is_not_there_is_said_clearly(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("cnn_jax.bench.cifar._CONFIG", tmp_path / "cifar_speed.py")
    assert main(["bench", "G1", "--preset=smoke", "--json"]) == 6
    (result,) = json.loads(capsys.readouterr().out)
    assert "E-BENCH-270: there is no" in result["error"]
    assert not result["complete"]


def test_the_recipe_is_run_over_seeds(monkeypatch, capsys, tmp_path):
    file = tmp_path / "cifar_speed.py"
    file.write_text(
        "from ml_collections import ConfigDict\n\n\ndef get_config(arg=''):\n"
        "    return ConfigDict({'data': 'shapes:tiny', 'model': {'name': 'linear:small'}, 'total_steps': 2})\n"
    )
    monkeypatch.setattr("cnn_jax.bench.cifar._CONFIG", file)
    (result,) = bench(capsys, "G1", "--config.batch_size=16")
    (row,) = result["rows"]
    assert row["figures"]["seconds"]["median"] > 0
    assert 0 <= row["facts"]["mean_accuracy"] <= 1
    assert result["summary"][0]["value"] is not None


def test_the_roofline_follows_from_what_ran_before(monkeypatch, capsys):
    def large(context):
        context.result.row(context.result.head["id"], "timm", ours=[1.0]).figures["roofline_share"] = [0.5, 0.125]

    function = Benchmark.function
    monkeypatch.setattr(Benchmark, "function", lambda self: function(self) if self.id == "G6" else large)
    result = bench(capsys, "G2", "G3", "G6")[-1]
    assert result["rows"][0]["figures"]["roofline_share"]["values"] == [0.5, 0.125]
    assert result["rows"][0]["facts"]["of"] == ["G2", "G3"]
    assert main(["bench", "G6", "--preset=smoke"]) == 6


@pytest.mark.bench
def test_time_to_the_first_step(capsys):
    (result,) = bench(capsys, "G5", "--blocks=1")
    (row,) = result["rows"]
    assert row["ratio"]["median"] > 1
    assert row["figures"]["seconds"]["median"] > 0


def test_the_script_for_the_gpu_is_sound():
    script = Path(table.__file__).parents[2] / "scripts" / "gpu.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert os.access(script, os.X_OK)
