"""Sweeps as jobs, without a cluster: what is submitted, journals, and tasks that are told to stop."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections import Counter

import pytest

from cnn_jax.config import resolve
from cnn_jax.errors import ConfigError, Preempted
from cnn_jax.sweep import slurm
from cnn_jax.sweep.board import Board
from cnn_jax.sweep.cells import Cell, last_notes, note_failure, pack
from cnn_jax.sweep.slurm import follow, submit
from cnn_jax.sweep.slurm_queue import Task, journal_of
from cnn_jax.sweep.slurm_task import run_task

LONG = 300_000
PATIENCE = 600  # of a busy machine, in seconds


def made(count, **changes):
    flat = {"model.name": "linear", "data": "shapes:tiny", "batch_size": 32, "total_steps": 4, "num_devices": 1}
    return [Cell(resolve({**flat, "seed": seed, **changes}), f"seed {seed}") for seed in range(count)]


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(slurm, "_SECONDS_TO_LOOK", 0.01)
    monkeypatch.setattr(slurm, "_SECONDS_TO_ASK", 0.03)


class Paper:
    """A cluster where jobs do what a test writes down."""

    def __init__(self):
        self.states, self.submitted, self.refuses = {}, [], False

    def submit(self, name, chunks, workdir, folder):
        if self.refuses:
            raise ConfigError(305, "no")
        self.submitted.append([[label for _, label, _ in chunk] for chunk in chunks])
        number = len(self.submitted)
        tasks = {(name, i): Task(f"{number}_{i}", "PENDING") for i in range(len(chunks))}
        self.states |= tasks
        return [task.id for task in tasks.values()]

    def tasks(self, names):
        names = set(names)
        if names and self.refuses:
            raise ConfigError(306, "no answer")
        return {key: task for key, task in self.states.items() if key[0] in names}

    def end(self, key, state, status=None):
        self.states[key] = self.states[key]._replace(state=state, status=status)


def finish(workdir, cell):
    (workdir / cell.id).mkdir(parents=True, exist_ok=True)
    (workdir / cell.id / "DONE").write_text("{}")


def test_what_a_live_task_holds_is_not_submitted_again(tmp_path):
    cluster, cells = Paper(), made(4)
    _, (task, other) = submit(cells, tmp_path, cluster, parts=2)
    assert cluster.submitted == [[["seed 0", "seed 1"], ["seed 2", "seed 3"]]]
    earlier, new = submit(cells, tmp_path, cluster)
    assert ([held.key for held in earlier], new) == ([task.key, other.key], [])
    cluster.end(task.key, "TIMEOUT")
    finish(tmp_path, cells[0])
    earlier, (third,) = submit(made(5), tmp_path, cluster)
    assert [held.key for held in earlier] == [other.key]
    assert cluster.submitted[1:] == [[["seed 1", "seed 4"]]]
    del cluster.states[third.key]  # Slurm has forgotten it
    cluster.refuses = True
    with pytest.raises(ConfigError, match="no answer"):
        submit(made(5), tmp_path, cluster)
    for cell in cells:
        finish(tmp_path, cell)
    with pytest.raises(ConfigError, match="no answer"):  # seed 4 was with a task of which nothing is known now
        submit(made(5), tmp_path, cluster)
    assert submit(cells, tmp_path, cluster) == ([], [])


def test_a_job_that_was_refused_or_never_submitted_holds_nothing(tmp_path):
    cluster, cells = Paper(), made(2)
    cluster.refuses = True
    with pytest.raises(ConfigError, match="no"):
        submit(cells, tmp_path, cluster)
    assert len((tmp_path / "slurm" / "jobs.jsonl").read_text().splitlines()) == 1  # written before
    with (tmp_path / "slurm" / "jobs.jsonl").open("a") as stream:
        stream.write('{"name": "cut o')
    cluster.refuses = False
    _, new = submit(cells, tmp_path, cluster)
    assert [held.cells for held in new] == [(cells[0].id, cells[1].id)]


def test_every_end_of_a_cell_is_told_once(tmp_path, hasty, capsys):
    cluster, cells = Paper(), [*made(6), *made(3, **{"model.name": "mlp:2"})]
    cells = [cell._replace(label=f"cell {number}") for number, cell in enumerate(cells)]
    _, (first, second) = submit(cells, tmp_path, cluster)
    journal = journal_of(tmp_path / "slurm", *first.key)
    (tmp_path / "slurm" / "1_0_0_log.out").write_text("killed\n")
    with journal.open("w") as stream:
        finish(tmp_path, cells[0])
        note_failure(tmp_path, cells[1], "E-NAN-01: loss is nan")
        ends = [(0, "done"), (1, "failed"), (2, "elsewhere")]
        told = [{"cell": cells[i].id, "ended": outcome} for i, outcome in ends]
        stream.writelines(json.dumps(line) + "\n" for line in [*told, {"cell": cells[3].id, "at": "25%"}])
        stream.write('{"cell": "cut o')
    finish(tmp_path, cells[4])  # done, and its task had no time to say so
    cluster.end(first.key, "OUT_OF_MEMORY", -9)
    cluster.end(second.key, "CANCELLED", -15)
    with Board(cells, {}, kept=0, workdir=tmp_path, processes=2) as board, pytest.raises(Preempted, match="4 cells"):
        follow([first, second], cells, tmp_path, board, cluster)
    lines = capsys.readouterr().err.splitlines()
    ends = Counter(line.partition(":")[0].split()[-1] if line[0].isalpha() else line.split()[1][:-1] for line in lines)
    assert ends == {"done": 2, "failed": 2, "elsewhere": 1, "stopped": 4}
    log = tmp_path / "slurm" / "1_0_0_log.out"
    assert f"failed: cell 1: E-NAN-01: loss is nan (look into {tmp_path / cells[1].id} and {log})" in lines
    assert (
        f"failed: cell 3: its task ended: OUT_OF_MEMORY, status -9 (look into {tmp_path / cells[3].id} and {log})"
        in lines
    )
    assert f"stopped: cell 8: its task is over: CANCELLED, status -15 (look into {tmp_path / cells[8].id})" in lines
    assert last_notes(tmp_path).keys() == {cells[1].id, cells[3].id}


def test_a_queue_that_falls_silent_ends_nothing(tmp_path, hasty, monkeypatch):
    cluster, (cell,) = Paper(), made(1)
    _, new = submit([cell], tmp_path, cluster)
    asked = []

    def tasks(names):
        asked.append(set(names))
        if len(asked) == 3:
            finish(tmp_path, cell)
            journal_of(tmp_path / "slurm", *new[0].key).write_text(f'{{"cell": "{cell.id}", "ended": "done"}}\n')
        raise ConfigError(306, "no answer")

    monkeypatch.setattr(cluster, "tasks", tasks)
    with Board([cell], {}, kept=0, workdir=tmp_path, processes=1, shown=False) as board:
        follow(new, [cell], tmp_path, board, cluster)
    assert len(asked) == 3


def test_ctrl_c_leaves_the_jobs_and_says_which(tmp_path, hasty, monkeypatch):
    cluster, cells = Paper(), made(2)
    _, new = submit(cells, tmp_path, cluster, parts=2)

    def interrupted(names):
        raise KeyboardInterrupt  # no signal: where the tests run in the background, SIGINT is ignored

    monkeypatch.setattr(cluster, "tasks", interrupted)
    with Board(cells, {}, kept=0, workdir=tmp_path, processes=1, shown=False) as board:  # noqa: SIM117
        with pytest.raises(Preempted, match=r"jobs go on \(1\).*scancel 1 ends them"):
            follow(new, cells, tmp_path, board, cluster)


# What runs in a task


class Local:
    """submitit's executor of this machine in the place of Slurm."""

    def __init__(self, submitit):
        self.jobs, self.submitit = {}, submitit

    def submit(self, name, chunks, workdir, folder):
        executor = self.submitit.LocalExecutor(folder)
        executor.update_parameters(timeout_min=60, stderr_to_stdout=True)
        journals = [str(journal_of(folder, name, i)) for i in range(len(chunks))]
        jobs = executor.map_array(run_task, chunks, [str(workdir)] * len(chunks), journals)
        self.jobs |= {(name, i): job for i, job in enumerate(jobs)}
        return [job.job_id for job in jobs]

    def tasks(self, names):
        names = set(names)
        states = {True: "COMPLETED", False: "RUNNING"}
        return {k: Task(job.job_id, states[job.done()]) for k, job in self.jobs.items() if k[0] in names}


@pytest.mark.slow
def test_cells_run_through_submitit_and_one_that_fails_is_named(tmp_path, monkeypatch, capsys, submitit):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(slurm, "_SECONDS_TO_ASK", 1.0)
    cells = [
        *made(2),
        *[cell._replace(label="wild") for cell in made(1, **{"optimizer.learning_rate": 1e38, "batch_size": 16})],
    ]
    cluster = Local(submitit)
    _, new = submit(cells, tmp_path, cluster)
    assert len(new) == 2
    with Board(cells, {}, kept=0, workdir=tmp_path, processes=2) as board:
        follow(new, cells, tmp_path, board, cluster)
    shown = capsys.readouterr().err
    assert "3 of 3 done" not in shown
    assert "failed: wild: E-NAN" in shown
    notes = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert sorted((note["label"], note["status"]) for note in notes) == [
        ("seed 0", "done"), ("seed 1", "done"), ("wild", "failed"),
    ]  # fmt: skip
    # Each cell's own seconds, not those of its task.
    assert all((note["seconds"] or 0) > 0 for note in notes if note["status"] == "done")
    assert [note["seconds"] for note in notes if note["status"] == "failed"] == [None]
    for job in cluster.jobs.values():
        job._process.wait()


@pytest.mark.slow
def test_a_task_that_is_told_to_stop_saves_and_the_next_one_goes_on(tmp_path):
    (cell,) = made(1, total_steps=LONG, log_every=100, checkpoint_every=LONG, eval_every=LONG)
    metrics = tmp_path / cell.id / "metrics.jsonl"
    reached = []
    for number in (signal.SIGTERM, signal.SIGUSR2):
        before = metrics.read_text().count("\n") if metrics.is_file() else 0
        task = multiprocessing.get_context("spawn").Process(
            target=run_task, args=([pack(cell)], str(tmp_path), str(tmp_path / "journal"))
        )
        task.start()
        deadline = time.monotonic() + PATIENCE
        while not (metrics.is_file() and metrics.read_text().count("\n") > before) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert task.pid is not None
        os.kill(task.pid, number)
        task.join(PATIENCE)
        assert task.exitcode == 75
        reached.append(max(int(own.name) for own in (tmp_path / cell.id / "checkpoints").glob("[0-9]*")))
    assert 0 < reached[0] < reached[1] < LONG
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(100, steps[-1] + 1, 100))
    assert not (tmp_path / cell.id / "DONE").exists()


def test_data_that_is_not_there_fails_the_cells_of_the_chunk(tmp_path):
    cells = made(2, data=f"folder:{tmp_path / 'nowhere'}")
    previous = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)}
    try:
        with pytest.raises(SystemExit) as caught:
            run_task([pack(cell) for cell in cells], str(tmp_path / "w"), str(tmp_path / "journal"))
    finally:
        for n, handler in previous.items():
            signal.signal(n, handler)
    assert caught.value.code == 3
    told = [json.loads(line) for line in (tmp_path / "journal").read_text().splitlines()]
    assert told == [{"cell": cell.id, "ended": "failed"} for cell in cells]
    assert all("E-DATA" in note["error"] for note in last_notes(tmp_path / "w").values())
