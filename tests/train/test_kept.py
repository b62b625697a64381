"""What is kept of a program: found by another process without a trace, and only where it is the same program."""

from __future__ import annotations

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from cnn_jax import ops
from cnn_jax.train import kept
from cnn_jax.train.kept import Kept, Shelf

RUN = """
import json, sys
import jax, jax.monitoring
from cnn_jax.main import main
heard = []
jax.monitoring.register_event_duration_secs_listener(lambda event, seconds, **rest: heard.append((event, rest)))
assert main(sys.argv[1:]) == 0
print(json.dumps([str(rest.get("fun_name")) for event, rest in heard if "jaxpr_to_mlir" in event]))
"""


OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, which is on."""
    monkeypatch.setenv("CNN_JAX_CACHE", str(tmp_path / "cache"))
    before = {name: jax.config.values[name] for name in OPTIONS}
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "xla"))
    reset_cache()  # without it JAX stays with the directory that it was using
    yield tmp_path / "cache"
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


def counting(shelf, name="double", factor=2):
    """A kept function, and how often it was traced."""
    traces = []

    def double(x):
        traces.append(x.shape)
        return {"y": x * factor, "mean": jnp.mean(x)}

    return shelf.function(name, jax.jit(double)), traces


X = np.arange(6, dtype=np.float32)


def test_another_shelf_of_the_same_program_does_not_trace(cache):
    function, traces = counting(Shelf("a program"))
    first = function(X)
    function(X)
    again, none = counting(Shelf("a program"))
    second = again(X)
    assert (traces, none) == ([(6,)], [])
    assert isinstance(again, Kept)
    np.testing.assert_array_equal(second["y"], 2 * X)
    np.testing.assert_array_equal(second["mean"], first["mean"])
    again(X[:3])
    assert none == [(3,)], "another shape is another program"
    assert again._cache_size() == 2


def test_what_differs_is_not_found():
    counting(Shelf("a program"))[0](X)
    for made_of, name in ((("another",), "double"), (("a program", ""), "double"), (("a program",), "treble")):
        function, traces = counting(Shelf(*made_of), name)
        function(X)
        assert len(traces) == 1, (made_of, name)
    for x in (X.astype(np.int32), X[None], jnp.asarray(X)):  # NumPy's arrays lie elsewhere
        function, traces = counting(Shelf("a program"))
        function(x)
        assert len(traces) == 1, x


def test_source_versions_options_and_contexts_belong_to_a_program(monkeypatch):
    counting(Shelf("a program"))[0](X)

    def traces():
        function, traced = counting(Shelf("a program"))
        function(X)
        return len(traced)

    assert traces() == 0
    with ops.plain_ops():
        assert traces() == 1
    with jax.default_matmul_precision("highest"):
        assert traces() == 1
    monkeypatch.setattr(kept, "_machine", lambda: ("another",))
    assert traces() == 1
    monkeypatch.undo()
    monkeypatch.setattr(kept, "_source", lambda: "edited")
    assert traces() == 1


def test_an_edit_that_changes_nothing_compiles_nothing(cache, monkeypatch):
    counting(Shelf("a program"))[0](X)
    (executable,) = (cache / "executables").iterdir()
    before = executable.stat().st_mtime_ns
    monkeypatch.setattr(kept, "_source", lambda: "edited")
    for factor, files in ((2, 1), (3, 2)):
        function, traces = counting(Shelf("a program", str(factor)), factor=factor)
        np.testing.assert_array_equal(function(X)["y"], factor * X)
        assert len(traces) == 1
        assert len(list((cache / "executables").iterdir())) == files
    assert executable.stat().st_mtime_ns == before


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "other"])
def test_damaged_files_are_made_again(cache, harm):
    counting(Shelf("a program"))[0](X)
    Shelf("a program").value("shapes", lambda: {"a": 1})
    for file in [*(cache / "programs").iterdir(), *(cache / "executables").iterdir()]:
        content = file.read_bytes()
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        file.write_bytes({"cut": content[:middle], "flip": flipped, "empty": b"", "other": b"x" * 99}[harm])
    function, traces = counting(Shelf("a program"))
    np.testing.assert_array_equal(function(X)["y"], 2 * X)
    assert len(traces) == 1
    assert Shelf("a program").value("shapes", lambda: {"a": 2}) == {"a": 2}
    function, traces = counting(Shelf("a program"))
    function(X)
    assert traces == []


def test_what_was_read_from_jaxs_cache_is_not_written_again(cache):
    """XLA:CPU leaves functions out of it."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

    def other(x):  # no other test's, which would find it in JAX's cache as well
        return {"y": x * 7, "mean": jnp.mean(x)}

    jax.jit(other)(X)
    jax.clear_caches()
    function = Shelf("a program").function("other", jax.jit(other))
    np.testing.assert_array_equal(function(X)["y"], 7 * X)
    written = {file.name for file in cache.rglob("*") if file.is_file()}
    assert written == set()


def test_a_cache_that_cannot_be_written_is_done_without(cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the folder should be")
    function, traces = counting(Shelf("a program"))
    np.testing.assert_array_equal(function(X)["y"], 2 * X)
    assert len(traces) == 1
    assert Shelf("a program").value("shapes", lambda: 3) == 3


def test_what_cannot_be_written_down_is_left_to_jaxs_cache(cache, monkeypatch):
    def refuse(compiled):
        raise NotImplementedError

    monkeypatch.setattr(kept.serialize_executable, "serialize", refuse)
    left_alone = []
    apart = kept._apart_from_xlas_cache

    def told():
        left_alone.append(False)
        return apart()

    monkeypatch.setattr(kept, "_apart_from_xlas_cache", told)
    for _ in range(3):
        function, traces = counting(Shelf("a program"))
        np.testing.assert_array_equal(function(X)["y"], 2 * X)
        assert len(traces) == 1
    assert left_alone == [False], "the first time it is not known yet"


def test_a_disk_that_was_full_is_tried_again(cache, monkeypatch):
    write = kept._write
    monkeypatch.setattr(kept, "_write", lambda file, value: file.parent.name != "executables" and write(file, value))
    counting(Shelf("a program"))[0](X)
    monkeypatch.undo()
    monkeypatch.setenv("CNN_JAX_CACHE", str(cache))
    jax.clear_caches()
    for traced in (1, 0):
        function, traces = counting(Shelf("a program"))
        np.testing.assert_array_equal(function(X)["y"], 2 * X)
        assert len(traces) == traced


def test_a_cache_that_is_turned_off_gets_nothing(cache):
    function, _ = counting(Shelf("a program"))
    jax.config.update("jax_compilation_cache_dir", None)
    np.testing.assert_array_equal(function(X)["y"], 2 * X)
    assert not cache.exists()


def test_nothing_is_kept_without_a_cache_or_of_a_program_that_nobody_described(cache):
    counting(Shelf())[0](X)
    jax.config.update("jax_compilation_cache_dir", None)
    counting(Shelf("a program"))[0](X)
    assert not (cache / "programs").exists()
    assert not (cache / "executables").exists()


def test_the_source_is_this_package_as_it_is_on_the_disk(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("1")
    monkeypatch.setattr(kept, "_PACKAGE", tmp_path)
    first = kept._source()
    assert kept._source() == first
    (tmp_path / "a.py").write_text("23")
    second = kept._source()
    (tmp_path / "b.py").write_text("4")
    assert len({first, second, kept._source()}) == 3


@pytest.mark.slow
def test_a_second_launch_traces_no_network_and_gives_the_same_bits(tmp_path):
    experiment = tmp_path / "one.py"
    experiment.write_text(
        "from ml_collections import ConfigDict\n\n\n"
        "def get_config(arg=''):\n"
        "    return ConfigDict({'data': 'shapes:tiny', 'model': {'name': 'lenet:small'}, 'total_steps': 3})\n\n\n"
        "def sweep(add):\n"
        "    add(**{'model.strides': 2})\n"
    )
    metrics, lowered = [], []
    for launch, more in enumerate(([], [], ["--no_cache"])):
        workdir = tmp_path / str(launch)
        command = ["sweep", f"--experiment={experiment}", f"--workdir={workdir}", "--json", *more]
        ran = subprocess.run([sys.executable, "-c", RUN, *command], capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        names = ran.stdout.splitlines()[-1]
        lowered.append([name for name in ("run_steps", "evaluate_batches", "create") if name in names])
        rows = json.loads((workdir / "results.json").read_text())
        rows = rows["cells"] if isinstance(rows, dict) else rows
        metrics.append([(row["test_loss"], row["train_loss"], row["validation_loss"]) for row in rows])
    assert metrics[0] == metrics[1] == metrics[2]
    assert list(map(len, lowered)) == [3, 0, 3]
