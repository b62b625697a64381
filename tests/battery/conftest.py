"""How often each trial of the battery is repeated, and the record of what came out.

A few times in CI (`make battery-ci`); with `CNN_JAX_BATTERY=full` (`make battery`) as often as it takes to trust a
promise, and then the outcome goes to the file that `CNN_JAX_BATTERY_RESULTS` names. A part of the battery that is run
again takes the place of what stands there of it, each with its own commit.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.battery.harness import Trial, children_environment, digest

FULL = os.environ.get("CNN_JAX_BATTERY") == "full"
_record: dict[str, dict] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m battery` is everything here: it takes as long as all other tests together."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("battery")


@pytest.fixture
def repeats(request: pytest.FixtureRequest) -> Callable[[int, int], range]:
    """`repeats(in_ci, full)`: how often to try; it is written down as the number of trials."""

    def choose(in_ci: int, full: int) -> range:
        times = full if FULL else in_ci
        request.node.user_properties.append(("trials", times))
        return range(times)

    return choose


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that every trial of this process shares."""
    return tmp_path_factory.mktemp("battery")


@pytest.fixture
def trial(tmp_path: Path, shared: Path) -> Trial:
    return Trial(tmp_path, children_environment(shared / "cache"))


@pytest.fixture(scope="session")
def expected(shared: Path) -> str:
    """The digest of the run that nobody hurt."""
    quiet = Trial(shared, children_environment(shared / "cache"))
    ended = quiet.train(shared / "quiet")
    assert ended.status == 0, ended.output
    return digest(shared / "quiet")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" or "battery" not in report.nodeid:
        return
    trials = dict(report.user_properties).get("trials", 1)
    name = report.nodeid.rpartition("::")[2]
    _record[name] = {"trials": trials, "outcome": report.outcome, "seconds": round(report.duration, 1)}


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = os.environ.get("CNN_JAX_BATTERY_RESULTS")
    if not target or hasattr(session.config, "workerinput"):
        return
    import jax

    from cnn_jax.train.workdir import source_commit

    file = Path(target)
    before = json.loads(file.read_text())["tests"] if file.is_file() else {}
    of_this_run = {
        "commit": source_commit(),
        "versions": {"jax": jax.__version__, "python": platform.python_version()},
        "date": time.strftime("%Y-%m-%d"),
    }
    tests = before | {name: {**outcome, **of_this_run} for name, outcome in _record.items()}
    file.write_text(json.dumps({"kind": "battery", "tests": tests}, indent=1, sort_keys=True) + "\n")
