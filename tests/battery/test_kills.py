"""A run that is killed, wherever, and started again ends as if nothing had happened."""

from __future__ import annotations

import itertools
import random
import shutil
import signal

import pytest

from tests.battery.child import Fault
from tests.battery.conftest import FULL
from tests.battery.harness import Trial, digest, leftovers

pytestmark = pytest.mark.slow
PARTS = 4


def _finish(trial: Trial, workdir) -> None:
    ended = trial.train(workdir)
    assert ended.status == 0, ended.output
    assert leftovers(workdir) == []


def test_kill_9_at_any_time_half_of_them_inside_a_save(trial, expected, repeats, tmp_path):
    whole = trial.train(tmp_path / "timed").seconds
    for i in repeats(10, 200):
        draw = random.Random(i)
        if i % 2:
            fault = Fault("save", entry=draw.randrange(10), delay=draw.uniform(0, 0.08))
        else:
            fault = Fault("start", delay=draw.uniform(0, whole))
        workdir = tmp_path / str(i)
        ended = trial.train(workdir, fault=fault)
        assert ended.status in (-signal.SIGKILL, 0), (fault, ended)
        _finish(trial, workdir)
        assert digest(workdir) == expected, fault


# A whole run makes about 310 changes; processes share them.
@pytest.mark.parametrize("part", range(PARTS))
def test_power_cut_before_any_change_of_the_file_system(trial, expected, record_property, tmp_path, part):
    cuts = itertools.count(part, PARTS) if FULL else [random.Random(part).randrange(160)]
    for tried, n in enumerate(cuts, 1):
        workdir = tmp_path / str(n)
        ended = trial.train(workdir, fault=n)
        record_property("trials", tried)
        assert ended.status in (137, 0), ended
        _finish(trial, workdir)
        assert digest(workdir) == expected, f"cut before change {n}"
        shutil.rmtree(workdir)
        if ended.status == 0:
            break  # there are fewer than n changes in a whole run


@pytest.mark.parametrize("phase", ["compile", "save", "evaluate", "log", "start"])
def test_sigterm_saves_and_leaves_within_ten_seconds(trial, expected, repeats, tmp_path, phase):
    for i in repeats(1, 10):
        draw = random.Random(f"{phase}{i}")
        workdir = tmp_path / str(i)
        entry = 0 if phase == "start" else draw.randrange(8)
        fault = Fault(phase, entry=entry, delay=draw.uniform(0, 0.3), number=signal.SIGTERM)
        ended = trial.train(workdir, fault=fault)
        # Before the command has begun, a signal ends Python as it ends any program: nothing has happened yet.
        not_begun = phase == "start" and not ended.output and not workdir.exists()
        assert ended.status in ((75, 0, -signal.SIGTERM) if not_begun else (75, 0)), (fault, ended)
        assert ended.after_fault is None or ended.after_fault < 10, (fault, ended)
        assert "Traceback" not in ended.output, ended.output
        _finish(trial, workdir)
        assert digest(workdir) == expected, fault
