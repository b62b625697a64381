"""Every cell of a sweep ends exactly once, whatever is killed and however many drivers there are."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.battery.child import Fault
from tests.battery.harness import Trial

pytestmark = pytest.mark.slow

CELLS = 20


def _noted(workdir: Path) -> Counter[str]:
    """How often each cell was finished, by the manifest."""
    notes = map(json.loads, (workdir / "manifest.jsonl").read_text().splitlines())
    return Counter(note["cell"] for note in notes if note["status"] == "done")


def _done(workdir: Path) -> int:
    return len(list(workdir.glob("*/DONE")))


def test_driver_killed(trial: Trial, repeats, tmp_path):
    whole = trial.run("twenty-cells", tmp_path / "whole").seconds
    assert _done(tmp_path / "whole") == CELLS
    assert set(_noted(tmp_path / "whole").values()) == {1}
    for i in repeats(2, 30):
        draw = random.Random(i)
        workdir = tmp_path / str(i)
        for _ in range(2):
            trial.run("twenty-cells", workdir, fault=Fault("start", delay=draw.uniform(0, whole)))
        ended = trial.run("twenty-cells", workdir)
        assert ended.status == 0, ended.output
        assert _done(workdir) == CELLS
        # A cell killed between its DONE and its line in the manifest is done and not noted; none is noted twice.
        assert max(_noted(workdir).values(), default=1) == 1


def test_two_drivers(trial: Trial, repeats, tmp_path):
    for i in repeats(1, 20):
        workdir = tmp_path / str(i)
        started = [trial.start("twenty-cells", workdir) for _ in range(2)]
        for driver, log in started:
            driver.join(300)
            assert driver.exitcode == 0, log.read_text()
        assert _done(workdir) == CELLS
        assert len(_noted(workdir)) == CELLS
        assert set(_noted(workdir).values()) == {1}
