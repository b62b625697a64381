"""What a person sees of a running sweep: counts, the time left, and where to look when a cell fails."""

from __future__ import annotations

import time
from pathlib import Path

from cnn_jax.sweep.board import Board, CellListener, duration
from cnn_jax.sweep.cells import Cell
from tests.toy import toy_config


def board(monkeypatch, cells, seconds, processes=1):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    shown = Board(cells, seconds, kept=3, workdir=Path("runs/w"), processes=processes)
    return shown, clock


def made(count):
    return [Cell(toy_config(seed=seed), f"cell {seed}") for seed in range(count)]


def test_counts_and_time_left_follow_what_is_measured(monkeypatch, capsys):
    cells = made(4)
    shown, clock = board(monkeypatch, cells, {cell.id: 10.0 for cell in cells}, processes=2)
    with shown:
        assert shown.summary() == "3 of 7 done, about 20 s left"
        shown.show(cells[0].id, "compiling")
        shown.show(cells[1].id, "compiling")
        clock[0] += 5
        assert shown.seconds_left() == (40 - 2 * 5) / 2
        clock[0] += 15
        shown.ended(cells[0].id, "done", final={"test": {"accuracy": 0.75}})
        # It took twice what was predicted: so will the others; the running one has had its 20 s.
        assert shown.seconds_left() == (3 * 20 - 20) / 2
        shown.ended(cells[1].id, "failed", error="E-NAN-01: loss is nan")
        assert shown.summary() == "4 of 7 done, 1 failed, about 20 s left"
    lines = capsys.readouterr().err.splitlines()
    assert "done: cell 0: test error 25.00%; 4 of 7 done, 1 running" in lines[0]
    assert lines[1] == f"failed: cell 1: E-NAN-01: loss is nan (look into runs/w/{cells[1].id})"


def test_cells_that_are_trained_together_share_their_time(monkeypatch):
    cells = made(8)
    shown, clock = board(monkeypatch, cells, {cell.id: 10.0 for cell in cells})
    for four in (cells[:4], cells[4:]):
        for cell in four:
            shown.show(cell.id, "compiling")
        clock[0] += 60
        if four == cells[4:]:
            break
        for cell in four:
            shown.ended(cell.id, "done")
        assert shown.seconds_left() == 4 * 15
    assert shown.seconds_left() == 0


def test_silence_is_silent(capsys):
    cells = made(1)
    with Board(cells, {}, kept=0, workdir=Path("w"), processes=1, shown=False) as shown:
        shown.ended(cells[0].id, "failed", error="x")
    assert capsys.readouterr() == ("", "")


def test_a_listener_tells_share_rate_and_time_left(monkeypatch):
    told, clock = [], [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    listener = CellListener(told.append)
    listener.start(total_steps=100, step=5, batch_size=32)
    clock[0] += 60  # of which two were training
    listener.advance(25, 2.0, 20, {})
    clock[0] += 16  # with others
    listener.advance(45, 2.0, 20, {})
    assert told == ["compiling", "25%, 320 img/s, 8 s left", "45%, 320 img/s, 44 s left"]


def test_durations_are_said_as_people_do():
    assert [duration(s) for s in (0.4, 89, 90, 600, 5400, 90_000)] == [
        "0 s", "89 s", "2 min", "10 min", "1 h 30 min", "25 h 00 min",
    ]  # fmt: skip
