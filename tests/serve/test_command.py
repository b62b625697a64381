"""`cnn-jax serve` as a user starts and ends it, and what it says where it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from cnn_jax.evaluate.images import as_network_takes
from cnn_jax.main import main
from cnn_jax.serve.server import is_loopback, listen
from tests.serve.conftest import photograph, png

ROOT = Path(__file__).parents[2]


def raw(address: tuple[str, int], path: str) -> bytes:
    """What is answered to a path as it stands, which no client has tidied."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_a_server_answers_survives_a_crowd_and_ends_with_control_c(trained, run):
    command = [sys.executable, "-m", "cnn_jax", "serve", f"--workdir={trained}", "--port=0", "--upload=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    watch = threading.Timer(300, process.kill)
    watch.start()
    try:
        assert process.stdout is not None
        told = re.search(r"step 3: (http://127\.0\.0\.1:(\d+)/) \(Ctrl-C ends it\)", process.stdout.readline())
        assert told, process.stderr and process.stderr.read()
        address, port = told[1], int(told[2])
        with httpx.Client(base_url=address, timeout=120) as client:
            assert client.get("/").text.startswith("<!doctype html>")
            answer = client.post("/api/predict", content=png(photograph()))
            chances = run.predict(as_network_takes(photograph(), run, "it"))
            found = {row["label"]: row["probability"] for row in answer.json()["top5"]}
            assert [found[label] for label in range(4)] == pytest.approx(chances.tolist(), rel=1e-4)
            assert client.post("/api/predict", content=bytes(2**21)).status_code == 413
            with ThreadPoolExecutor(16) as crowd:
                asked = [crowd.submit(client.post, "/api/predict", content=png(photograph())) for _ in range(64)]
                statuses = [future.result().status_code for future in asked]
            assert set(statuses) <= {200, 503}
            assert 200 in statuses
            assert client.post("/api/predict", content=png(photograph())).status_code == 200
        for path in (
            "/../../../../etc/passwd",
            "/train/../../config.json",
            "//etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
        ):
            assert raw(("127.0.0.1", port), path).startswith(b"HTTP/1.1 404"), path
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        watch.cancel()
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "ended\n", "")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def refused(arguments: list[str], capsys) -> tuple[int, str]:
    status = main(["serve", *arguments])
    said = capsys.readouterr()
    assert said.out == ""
    return status, said.err


def test_a_port_that_is_taken_and_a_host_that_is_not_here(trained, capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        status, said = refused([f"--workdir={trained}", "--no_neighbours", f"--port={port}"], capsys)
    assert status == 2
    assert re.fullmatch(
        rf"cnn-jax: E-CONF-391: cannot listen at 127.0.0.1 port {port} \(.*\): .*--port=0 for any\n", said
    )
    # An address for documentation (RFC 5737): nobody's, so not this machine's; the warning comes before.
    status, said = refused([f"--workdir={trained}", "--no_neighbours", "--host=192.0.2.1"], capsys)
    warning, error = said.splitlines()
    assert status == 2
    assert warning.startswith("cnn-jax: warning: --host=192.0.2.1 lets whoever reaches this machine ")
    assert error.startswith("cnn-jax: E-CONF-391: cannot listen at 192.0.2.1 port 8000 (")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--port=65536", "'65536' is no port: use 0 (any that is free) to 65535"),
        ("--port=-1", "'-1' is no port"),
        ("--port=http", "'http' is no port"),
        ("--upload=0", "'0' is no size of files: use 1 to 1024 (MiB)"),
        ("--upload=9999", "'9999' is no size of files"),
        ("--config.seed=1", "serve takes no --config.KEY=VALUE"),
    ],
)
def test_options_that_cannot_be_used(argument, words, trained, capsys):
    status, said = refused([f"--workdir={trained}", argument], capsys)
    assert status == 2
    assert said.startswith("cnn-jax: E-CONF-20: ")
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("library", ["uvicorn", "starlette"])
def test_a_library_that_is_missing(library, trained, monkeypatch, capsys):
    for name in list(sys.modules):
        if name.startswith("cnn_jax.serve.") or name.split(".")[0] == library:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    assert refused([f"--workdir={trained}"], capsys) == (
        2,
        f"cnn-jax: E-CONF-390: serve needs {library}: pip install 'cnn-jax[serve]'\n",
    )


def test_data_that_is_gone_is_needed_for_neighbours_alone(trained, images, capsys, tmp_path):
    status, said = refused([f"--workdir={trained}", f"--data=folder:{tmp_path / 'gone'}"], capsys)
    assert status == 3
    assert said.endswith("; neighbours need this data: --no_neighbours does without\n")
    assert said.startswith("cnn-jax: E-DATA-")
    hidden = images.with_name("elsewhere")
    os.rename(images, hidden)
    try:
        status, said = refused([f"--workdir={trained}"], capsys)
        assert status == 3
        assert "--no_neighbours does without" in said
    finally:
        os.rename(hidden, images)


def test_what_is_a_loopback_address():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.3", "localhost.evil.example", "box", "")))
