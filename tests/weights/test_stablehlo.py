"""A network exported as StableHLO: the same probabilities, any batch; damage is told."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cnn_jax
from cnn_jax.errors import DataError
from cnn_jax.main import main
from tests.evaluate.workdirs import CLASSES, dataset, workdir

MODELS = (
    "lenet:modern,num_classes=7,features=(3,4),head_features=(12,)",
    "resnet_cifar:8,num_classes=7,features=(4,8,8)",
)


@pytest.fixture(scope="module", params=MODELS, ids=lambda name: name.split(":")[0])
def both(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    path = workdir(root / "w", request.param, dataset(32))
    assert main(["export", f"--workdir={path}", "--format=stablehlo", f"--output={root / 'net.hlo'}"]) == 0
    return cnn_jax.load(path), root / "net.hlo"


def test_probabilities_are_the_runs(both):
    run, file = both
    exported = cnn_jax.load_exported(file)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    for batch in (images, images[:1]):
        np.testing.assert_allclose(exported.predict(batch), run.predict(batch), atol=1e-6)
    np.testing.assert_allclose(exported.predict(images[2]), run.predict(images[2]), atol=1e-6)
    assert exported.classes == CLASSES
    assert exported.image_shape == (32, 32, 3)
    with pytest.raises(DataError, match="this network takes"):
        exported.predict(images[:, :16])


def test_the_json_beside_it(both):
    run, file = both
    facts = json.loads(file.with_name("net.hlo.json").read_text())
    assert facts["classes"] == list(CLASSES)
    assert facts["input"] == {"shape": ["b", 32, 32, 3], "dtype": "uint8"}
    assert facts["step"] == str(run.step)
    assert {"jax", "cnn-jax"} <= facts["versions"].keys()


def test_damage_is_told(both, tmp_path):
    _, file = both
    content, facts = file.read_bytes(), file.with_name("net.hlo.json").read_text()
    (tmp_path / "x.hlo").write_bytes(content[:-1])
    with pytest.raises(DataError, match="cannot be read"):
        cnn_jax.load_exported(tmp_path / "x.hlo")
    (tmp_path / "x.hlo.json").write_text(facts)
    with pytest.raises(DataError, match="its sha256"):
        cnn_jax.load_exported(tmp_path / "x.hlo")
    (tmp_path / "x.hlo.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        cnn_jax.load_exported(tmp_path / "x.hlo")


def test_names_are_for_tensors(tmp_path, capsys):
    arguments = ["export", f"--workdir={tmp_path}", "--format=stablehlo", "--names=timm", f"--output={tmp_path}/x"]
    assert main(arguments) == 2
    assert "means nothing to --format=stablehlo" in capsys.readouterr().err
