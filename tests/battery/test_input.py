"""Wrong input is refused in one line that names it, before any compute; nothing is executed, nothing escapes."""

from __future__ import annotations

import io
import json
import math
import pickle
import random
import string
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from cnn_jax.config import SCHEMA, load_config
from cnn_jax.data import Dataset, Split, load_dataset
from cnn_jax.errors import CnnJaxError, DataError
from cnn_jax.main import main
from cnn_jax.report.page import write_history_report
from tests.toy import CLASSES

pytestmark = pytest.mark.slow
_RESULTS = Path(__file__).parents[2] / "experiments" / "results" / "history-shapes.json"

_VALUES = (
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "None",
    "True",
    "''",
    "()",
    "('x',)",
    "[1, 2",
    "lambda: 0",
    "10**9",
    "1e-320",
)


def _fuzzed(draw: random.Random) -> str:
    """One override: a known key, a misspelt one or a random one, with any value."""
    key = draw.choice(sorted(SCHEMA))
    kind = draw.randrange(4)
    if kind == 0:
        at = draw.randrange(len(key))
        key = key[:at] + draw.choice(string.ascii_letters) + key[at + 1 :]
    elif kind == 1:
        key = "".join(draw.choices(string.printable.strip(), k=draw.randrange(1, 12))).replace("=", "")
    value = draw.choice([*_VALUES, str(draw.uniform(-1e6, 1e6)), str(draw.getrandbits(80))])
    return f"{key}={value}"


def test_fuzzed_configs(repeats, tmp_path):
    file = tmp_path / "config.py"
    file.write_text(
        "from ml_collections import ConfigDict\ndef get_config(arg=''):\n    return ConfigDict({'total_steps': 2})\n"
    )
    refused = 0
    for i in repeats(300, 10_000):
        draw = random.Random(i)
        override = _fuzzed(draw)
        try:
            config = load_config(file, [override])
        except CnnJaxError as error:
            refused += 1
            assert error.exit_status == 2, override
            assert "\n" not in str(error), override
            key = override.partition("=")[0].strip()
            assert key.rpartition(".")[2][:3] in str(error), (override, error)
        else:
            for name, value in config.items():
                assert not (isinstance(value, float) and not math.isfinite(value)), (override, name)
    assert refused > 0


def _picture(draw: random.Random, kind: str) -> bytes:
    """The content of a file that is no usable image."""
    stream = io.BytesIO()
    noise = np.random.default_rng(draw.randrange(2**32)).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    if kind == "truncated":
        image.save(stream, draw.choice(["PNG", "JPEG"]))
        return stream.getvalue()[: draw.randrange(1, len(stream.getvalue()) - 40)]
    if kind == "bomb":
        Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    elif kind == "frames":
        image.save(stream, "GIF", save_all=True, append_images=[Image.new("RGB", (16, 16))])
    elif kind == "float":
        Image.fromarray(noise[..., 0].astype(np.float32)).save(stream, "TIFF")
    elif kind == "text":
        return "".join(draw.choices(string.printable, k=200)).encode()
    elif kind == "script":
        return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n(/etc/passwd) (r) file\n"
    elif kind == "svg":
        return b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    return stream.getvalue()


_BAD = ("truncated", "bomb", "frames", "float", "text", "script", "svg", "nothing")


def test_bad_images_are_named(repeats, tmp_path):
    root = tmp_path / "images"
    for name in "ab":
        (root / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (16, 16), (i, 0, 0)).save(root / name / f"{i}.png")
    load_dataset(f"folder:{root}")
    bad = root / "b" / "bad one.png"
    for i in repeats(40, 1000):
        kind = _BAD[i % len(_BAD)]
        if kind == "bomb" and i >= len(_BAD) * 4:
            continue  # the same picture each time
        bad.write_bytes(_picture(random.Random(i), kind))
        try:
            load_dataset(f"folder:{root}")
        except DataError as error:
            assert "bad one.png" in str(error), (kind, error)
            assert "\n" not in str(error), (kind, error)
        else:
            # A JPEG cut in its last bytes can decode to all of its pixels.
            assert kind == "truncated", kind


@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_labels_out_of_range_are_refused_on_the_host(split, label):
    def part(name: str) -> Split:
        labels = np.array([0, 1, 2, label if name == split else 0], np.int32)
        return Split(np.zeros((4, 8, 8, 3), np.uint8), labels)

    with pytest.raises(DataError, match=f"{split} example 3 has label {label}"):
        Dataset("bad", CLASSES, {name: part(name) for name in ("train", "validation", "test")}, "f00d")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_pixels_that_could_be_nan_are_refused(dtype):
    with pytest.raises(DataError, match="uint8"):
        Split(np.full((4, 8, 8, 3), 1, dtype), np.zeros(4, np.int32))


_NAMES = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "javascript:alert(1)",
    "{{7*7}}", "{% include '/etc/passwd' %}", "</title><b>", "&lt;b&gt;", "[bold]x[/]", "${HOME}", "$(id)", "`id`",
)  # fmt: skip


class _Tags(HTMLParser):
    """What a browser would find in a page: tags with the names of their attributes, and where links lead."""

    def __init__(self, page: str):
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.schemes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.add((tag, tuple(sorted(name for name, _ in attrs))))
        self.schemes |= {urlsplit(value or "").scheme for name, value in attrs if name in ("href", "src")}


def _page(tmp_path: Path, name: str) -> _Tags:
    results = json.loads(_RESULTS.read_text())
    results["data"] = f"folder:{name}"
    results["networks"][0]["label"] = results["cells"][0]["label"] = name
    results["cells"][0]["workdir"] = name
    results["cells"][1] |= {"outcome": "failed", "error": name}
    results["classes"] = [name] * len(results["classes"])
    (tmp_path / "results.json").write_text(json.dumps(results))
    return _Tags(write_history_report(tmp_path).read_text())


def test_names_that_attack_the_report(tmp_path, repeats):
    harmless = _page(tmp_path, "harmless")
    for i in repeats(len(_NAMES), 10 * len(_NAMES)):
        draw = random.Random(i)
        name = _NAMES[i % len(_NAMES)] + "".join(draw.choices("<>&'\"{}", k=i // len(_NAMES)))
        attacked = _page(tmp_path, name)
        # A longer name may take a line more of a figure; a tag or an attribute that is nowhere else it must not bring.
        assert attacked.found <= harmless.found, name
        assert attacked.schemes <= {"", "http", "https"}, name


def test_pickles_are_never_loaded(tmp_path, repeats, capsys):
    """A config and a cached data set made of a pickle that would write a file."""
    witness = tmp_path / "executed"
    payload = pickle.dumps(_Writes(str(witness)))
    for i in repeats(10, 100):
        target = tmp_path / f"{i}.json"
        target.write_bytes(payload)
        assert main(["train", f"--config={target}", f"--workdir={tmp_path / 'w'}"]) == 2
        assert not witness.exists()
    assert "E-CONF" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["safetensors", "pth", "h5", "npz", "pkl"])
def test_pickles_are_no_weights(ending, tmp_path, repeats, capsys):
    """Whatever a file is called and however its pickle begins, nothing of it is executed."""
    witness = tmp_path / "executed"
    for i in repeats(4, 40):
        payload = pickle.dumps(_Writes(str(witness)), protocol=i % 6)
        file = tmp_path / f"{i}.{ending}"
        file.write_bytes(payload if i % 2 else len(payload).to_bytes(8, "little") + payload)
        command = ["import", str(file), f"--workdir={tmp_path / 'w'}", "--source=torchvision", "--model=resnet:18"]
        assert main(command) == DataError.exit_status
        error = capsys.readouterr().err
        assert error.startswith("cnn-jax: E-DATA-"), error
        assert error.count("\n") == 1
        assert not witness.exists()
        assert not (tmp_path / "w").exists()


class _Writes:
    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))
