"""What is asked of Slurm, in which form, and what it answers; without a cluster."""

from __future__ import annotations

import os
import sys

import pytest

from cnn_jax.errors import ConfigError
from cnn_jax.main import main
from cnn_jax.sweep.cells import pack
from cnn_jax.sweep.slurm_options import read_options
from cnn_jax.sweep.slurm_queue import Slurm, Task
from tests.sweep.test_slurm import made


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (["partition=gpu", "time=90"], {"time": 90, "additional_parameters": {"partition": "gpu"}}),
        (["mail-type=END", "exclusive=True"], {"additional_parameters": {"mail_type": "END", "exclusive": True}}),
        (["time=1", "time=2"], {"time": 2}),
        (["setup=module load cuda && nvidia-smi"], {"setup": ["module load cuda && nvidia-smi"]}),
        (
            ["cpus_per_task=8", "srun_args=--cpu-bind=none '--comment=a b'"],
            {"cpus_per_task": 8, "srun_args": ["--cpus-per-task=8", "--cpu-bind=none", "--comment=a b"]},
        ),
        ([], {}),
    ],
)
def test_options_become_keywords(given, options):
    assert read_options(given) == options


@pytest.mark.parametrize(
    ("given", "number", "words"),
    [
        ("partition", 300, "write --slurm.KEY=VALUE"),
        ("partition=", 300, "write --slurm.KEY=VALUE"),
        ("=gpu", 300, "write --slurm.KEY=VALUE"),
        ("Time=3", 300, "write --slurm.KEY=VALUE"),
        ("comment=a\n#SBATCH --uid=0", 300, "write --slurm.KEY=VALUE"),
        ("srun_args='a", 300, "quotation"),
        ("ntasks-per-node=2", 301, "a cell is one process"),
        ("output=x", 301, "sets output itself"),
        ("time=1-00:00:00", 302, "a whole number of minutes above 0"),
        ("gpus_per_node=0", 302, "a whole number above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(given, number, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_options([given])
    assert caught.value.number == number


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--slurm.time=3"], "E-CONF-307: --slurm.time=3 is for jobs"),
        (["--no_wait"], "E-CONF-307: --no_wait is for jobs"),
        (["--launcher=slurm", "--processes=2"], "E-CONF-308"),
        (["--launcher=slurm", "--slurm.time=soon"], "E-CONF-302"),
        (["--launcher=slurm"], "E-CONF-304: --launcher=slurm: no sbatch and no srun and no squeue on this machine"),
        (["--launcher=commands", "--cells=a"], "E-CONF-307"),
        (["--cells=nosuch"], "E-CONF-309: --cells: "),
        (["--cells=,"], "E-CONF-309: --cells: "),
    ],
)
def test_a_command_that_cannot_run_is_one_line(six_cells, tmp_path, capsys, monkeypatch, submitit, options, code):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["sweep", f"--experiment={six_cells}", f"--workdir={tmp_path / 'w'}", *options]) == 2
    assert f"cnn-jax: {code}" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_without_submitit_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"pip install 'cnn-jax\[slurm\]'"):
        Slurm({})


@pytest.fixture
def commands(tmp_path, monkeypatch, submitit):
    """Puts shell scripts in the place of Slurm's commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(**scripts):
        for name in ("sbatch", "srun", "squeue"):
            (folder / name).write_text(f"#!/bin/sh\n{scripts.get(name, 'exit 1')}\n")
            (folder / name).chmod(0o755)
        return Slurm({"time": 7, "additional_parameters": {"gres": "gpu:1"}})

    return write


def test_squeue_is_read_whatever_else_it_says(commands):
    told = ["12_0|RUNNING|0|a|", "12_11|FAILED|768|a|", "9|CANCELLED|15|b|", "13_[1-3%2]|PENDING|0|a|", "odd"]
    cluster = commands(squeue="\n".join(f"echo '{line}'" for line in told))
    assert cluster.tasks([]) == {}
    seen = cluster.tasks(["b", "a"])
    assert seen == {
        ("a", 0): Task("12_0", "RUNNING", 0),
        ("a", 11): Task("12_11", "FAILED", 3),
        ("b", 0): Task("9", "CANCELLED", -15),
    }
    assert [task.live for task in seen.values()] == [True, False, False]
    assert [task.faulty for task in seen.values()] == [False, True, False]
    assert not Task("1", "FAILED", 75).faulty
    assert Task("1", "A_STATE_OF_TOMORROW").live


def test_a_queue_that_does_not_answer_is_no_empty_queue(commands):
    cluster = commands(squeue="echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(ConfigError, match="Unable to contact slurm controller") as caught:
        cluster.tasks(["a"])
    assert caught.value.number == 306


def test_a_job_array_is_submitted_with_what_was_asked_for(commands, tmp_path):
    cluster = commands(sbatch="echo Submitted batch job 31")
    cells = [[pack(cell)] for cell in made(2)]
    assert cluster.submit("cnn-jax-1", cells, tmp_path, tmp_path / "slurm") == ["31_0", "31_1"]
    assert cluster.submit("cnn-jax-2", cells[:1], tmp_path, tmp_path / "slurm") == ["31"]
    script = (tmp_path / "slurm" / "31_submission.sh").read_text()
    for line in ("--gres=gpu:1", "--job-name=cnn-jax-2", "--time=7", "--signal=USR2@90"):
        assert f"#SBATCH {line}\n" in script
    assert "wckey" not in script
    refusing = commands(sbatch="echo 'sbatch: error: invalid partition specified: none' >&2; exit 1")
    with pytest.raises(ConfigError, match="Slurm refuses the job: sbatch: error: invalid partition") as caught:
        refusing.submit("cnn-jax-3", cells, tmp_path, tmp_path / "slurm")
    assert caught.value.number == 305
