"""Signals: heard between steps, and in time where there is no step to hear them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cnn_jax.train.stop import StopRequest

# A call into C that hears no signal and lets other threads run, as a compilation does; loaded alone, without JAX.
BUSY = """
import hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("stop", sys.argv[1])
stop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stop)
with stop.StopRequest(grace=float(sys.argv[2])) as request:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", int(sys.argv[3]))
print(request.requested)
"""


def busy(grace: float, rounds: int):
    from cnn_jax.train import stop

    command = [sys.executable, "-c", BUSY, stop.__file__, str(grace), str(rounds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_sigterm_is_met_in_time_where_no_step_ends():
    process = busy(0.5, 10**9)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 75
    assert time.monotonic() - started < 9
    assert error == (
        "cnn-jax: E-STOP-02: SIGTERM, and no step ended in 0.5 s; the same command goes on from the last checkpoint\n"
    )


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")])
def test_a_run_that_stops_by_itself_is_left_to_it(number, name):
    """Ctrl-C waits for the step however long it takes: in a notebook the process is more than the run."""
    process = busy(60 if number == signal.SIGTERM else 0.01, 200_000)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output == f"{name}\n"


def test_what_was_there_before_is_there_again():
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), threading.active_count())
    with StopRequest(at=3) as stop:
        assert not stop.due(2)
        assert stop.due(3)
        assert stop.reason == "request for step 3"
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested == stop.reason == "SIGINT"
        assert signal.getsignal(signal.SIGINT) == before[1]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before[:2]
    assert signal.set_wakeup_fd(-1) == -1
    for _ in range(100):
        if threading.active_count() == before[2]:
            break
        time.sleep(0.05)
    assert threading.active_count() == before[2]


def test_in_another_thread_it_never_fires():
    heard = []

    def work():
        with StopRequest() as stop:
            heard.append(stop.due(1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
