"""Where metrics go: `metrics.jsonl`, one object a line, and TensorBoard event files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


class MetricsLog:
    """Writes metrics to a workdir, each step once however often the run is resumed.

    Args:
        workdir: the workdir.
        resume_step: lines past this step were written by a run that died before its next checkpoint; they are dropped
            and will be written again.
    """

    def __init__(self, workdir: Path, resume_step: int):
        from tensorboardX import SummaryWriter  # half a second, of no use to those who only read

        self._file = workdir / METRICS
        _drop_after(self._file, resume_step)
        self._stream = self._file.open("a")
        self._events = SummaryWriter(str(workdir), purge_step=resume_step + 1 if resume_step else None)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Appends one line and flushes it."""
        self._stream.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        self._stream.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Makes everything durable."""
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._events.close()


class NoLog:
    """Stands where a `MetricsLog` would stand in a process that writes nothing."""

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`; a last line cut short by a kill is left out."""
    lines = []
    for line in (workdir / METRICS).read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def _drop_after(file: Path, step: int) -> None:
    if not file.exists():
        return
    # The test split comes last of all, after the last checkpoint: a run that goes on has yet to measure it.
    kept = [line for line in read_metrics(file.parent) if line["step"] <= step and line["split"] != "test"]
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
    partial.replace(file)
