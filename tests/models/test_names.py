"""The table of names: it agrees with the files, imports nothing heavy, and refuses with the legal choices."""

import importlib
import subprocess
import sys

import jax
import pytest

from cnn_jax import models
from cnn_jax.errors import ConfigError

CONTRACT = """
linear mlp:300 lenet:1989 lenet:1998 lenet:modern alexnet:paper alexnet:slides alexnet:torchvision zfnet:paper
zfnet:slides vgg:A vgg:A-LRN vgg:B vgg:C vgg:D vgg:E vgg:A-BN vgg:B-BN vgg:C-BN vgg:D-BN vgg:E-BN
googlenet:paper googlenet:torchvision resnet:18 resnet:34 resnet:50 resnet:101 resnet:152 resnet:50-v1
resnet:101-v1 resnet:152-v1 resnet:34-A resnet:34-C plain:18 plain:34 resnet_cifar:20 resnet_cifar:1202
plain_cifar:20 preact_cifar:110 preact_cifar:164 preact_cifar:1001 xception
"""
HISTORY = ("linear", "mlp", "lenet", "alexnet", "zfnet", "vgg", "googlenet", "resnet", "xception")


@pytest.mark.parametrize("name", [*CONTRACT.split(), *(f"{family}:small" for family in HISTORY)])
def test_contract_names_exist(name):
    assert models.create(name).num_classes in (10, 1000)


@pytest.mark.parametrize(
    ("family", "default"),
    [("lenet", "modern"), ("alexnet", "paper"), ("zfnet", "paper"), ("vgg", "D"), ("googlenet", "paper")],
)
def test_bare_family_is_its_default(family, default):
    assert models.create(family) == models.create(f"{family}:{default}")


@pytest.mark.parametrize("family", models.FAMILIES)
def test_table_agrees_with_the_file(family):
    row = models.FAMILIES[family]
    module = importlib.import_module(f"cnn_jax.models.{row.model.split('.')[0]}")
    assert (row.paper, row.year) == (module.PAPER.title, module.PAPER.year)
    assert list(row.variants) == list(module.VARIANTS[family])
    assert row.default in row.variants
    for variant, (_, num_classes) in row.variants.items():
        assert models.keywords(f"{family}:{variant}")["num_classes"] == num_classes


def test_the_table_imports_no_jax():
    code = "import sys, cnn_jax.models as m; m.catalogue(); assert not {'jax', 'flax', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_keywords_are_read_from_the_name_and_overridden():
    model = models.create("vgg:A,width=0.25,features=(8, 16,32,64,64),padding=1", width="0.5", head="gap")
    assert (model.width, model.features, model.padding, model.head) == (0.5, (8, 16, 32, 64, 64), 1, "gap")
    assert models.create("vgg:A", features=[8, 16, 32, 64, 64]).features == (8, 16, 32, 64, 64)
    assert models.create("googlenet,aux_heads=true").aux_heads is True
    assert models.create("vgg", padding="same").padding == "same"
    assert models.create("alexnet,lrn=(3, 1e-3,0.5,1)").lrn == (3, 1e-3, 0.5, 1.0)
    assert models.keywords("vgg:A-LRN")["norm"] == "lrn"


def trace(name):
    """Some faults show only where the layers are made."""
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), "float32")
    jax.eval_shape(models.create(name).init, jax.random.key(0), image)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vggg:A", ["'vggg'", "did you mean 'vgg'", "googlenet"]),
        ("vgg:F", ["'F' of vgg; legal: A, A-LRN"]),
        ("vgg:a-lrn", ["A-LRN"]),
        ("mlp:3x", ["'3x'", "500-300"]),
        ("resnet_cifar:21", ["depth=21", "6n+2", "20"]),
        ("resnet:small,depth=9", ["depth=9", "6n+2", "8"]),
        ("preact_cifar:21", ["21", "9n+2"]),
        ("resnet:50,depth=51", ["depth=51", "18, 34, 50, 101, 152"]),
        ("vgg:A,depth=6", ["depth=6", "at least 8"]),
        ("vgg:A,widht=2", ["'widht'", "did you mean 'width'", "kernel_size"]),
        ("vgg:A,parent=2", ["no keyword 'parent'"]),
        ("vgg:A,width=0", ["width=0.0", "above 0"]),
        ("vgg:A,width=nan", ["width=nan", "above 0"]),
        ("vgg:A,width=wide", ["width='wide'", "a number"]),
        ("vgg:A,num_classes=2.5", ["num_classes='2.5'", "a whole number"]),
        ("vgg:A,num_classes=0", ["num_classes=0", "at least 1"]),
        ("vgg:A,dropout=1", ["dropout=1.0", "below 1"]),
        ("vgg:A,norm=bach", ["norm='bach'", "none, batch, layer, instance, group, lrn, contrast"]),
        ("vgg:A,features=64", ["features='64'", "(64,128)"]),
        ("vgg:A,lrn=(5,1e-4)", ["lrn='(5,1e-4)'", "4 numbers in parentheses"]),
        ("vgg:A,padding_mode=mirror", ["padding_mode='mirror'", "zeros, wrap, edge, reflect, symmetric"]),
        ("resnet:18,norm=lrn", ["norm='lrn'", "none, batch, layer, instance, group"]),
        ("alexnet,initializer=xavier", ["initializer='xavier'", "gaussian_0.05", "bilinear"]),
        ("nin,kernel_size=(5,5)", ["2 kernel_size", "5 features"]),
        ("googlenet,aux_heads=1", ["aux_heads='1'", "true or false"]),
        ("vgg:A,width", ["'width'", "keyword=value"]),
        ("vgg:A,width=1,width=2", ["'width'", "twice"]),
        ("googlenet:small,modules=(3a,3z)", ["'3z'", "3a, 3b"]),
        ("alexnet,features=(96,)", ["1 features", "at least 2"]),
        ("vgg:A,features=(8,16)", ["5 stage_sizes", "not 2"]),
        ("vgg:A,features=(8,16,0,8,8)", ["at least 1 each"]),
        ("xception:small,entry_features=()", ["at least 1 of entry_features"]),
        ("lenet:1998,num_classes=12", ["num_classes", "10"]),
        ("resnet:small,stage_sizes=(1,1)", ["2 stage_sizes", "3"]),
    ],
)
def test_refusals_name_what_is_wrong_and_what_is_legal(name, words):
    with pytest.raises(ConfigError) as caught:
        trace(name)
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []
