"""Configs: every bad one is refused in one line that names the key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.config import SCHEMA, canonical_json, difference, load_config, resolve, run_id, to_dict
from cnn_jax.errors import ConfigError

FILE = """
from ml_collections import ConfigDict
def get_config(arg=""):
    config = ConfigDict({"model": {"name": arg or "lenet"}, "total_epochs": 3})
    config.augment = ("flip",)
    return config
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(FILE)
    return path


def test_overrides_take_the_type_of_the_key(file):
    config = load_config(
        file, ["--config.optimizer.learning_rate=1", "augment=flip,pad_crop:2", "total_steps=1e3", "model.width=0.5"]
    )
    assert config.optimizer.learning_rate == 1
    assert config.augment == ("flip", "pad_crop:2")
    assert config.total_steps == 1000
    assert isinstance(config.total_steps, int)
    assert config.total_epochs is None
    assert config.model.width == 0.5


def test_argument_of_get_config(file):
    assert load_config(f"{file}:vgg:A").model.name == "vgg:A"
    assert load_config(file).model.name == "lenet"


def test_a_resolved_config_survives_json(file, tmp_path):
    config = load_config(file, ["seed=3"])
    stored = tmp_path / "config.json"
    stored.write_text(json.dumps(to_dict(config)))
    again = load_config(stored)
    assert again.augment == ("flip",)
    assert run_id(again) == run_id(config)
    assert canonical_json(again) == canonical_json(config)


def test_run_id_tells_configs_apart_and_whole_floats_not():
    assert run_id(resolve({"total_epochs": 3})) == run_id(resolve({"total_epochs": 3.0}))
    assert run_id(resolve({"total_epochs": 3})) != run_id(resolve({"total_epochs": 3, "seed": 1}))
    assert difference(resolve({"total_epochs": 3}), resolve({"total_epochs": 3, "seed": 1})) == ["seed: 0, not 1"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.lerning_rate=0.1", "did you mean config.optimizer.learning_rate"),
        ("lerning_rate=0.1", "did you mean config.optimizer.learning_rate"),
        ("batchsize=3", "did you mean config.batch_size"),
        ("optimizer=sgd", "config.optimizer is a group"),
        ("optimizer.learning_rate=nan", "config.optimizer.learning_rate=nan"),
        ("optimizer.learning_rate=-3", "config.optimizer.learning_rate=-3"),
        ("optimizer.learning_rate=fast", "config.optimizer.learning_rate='fast'"),
        ("optimizer.name=sdg", "one of gd, sgd"),
        ("batch_size=0", "config.batch_size=0"),
        ("batch_size=1.5", "config.batch_size=1.5"),
        ("batch_size=True", "config.batch_size=True"),
        ("batch_size=None", "config.batch_size=None"),
        ("seed=-1", "config.seed=-1"),
        ("augment=rotate", "config.augment"),
        ("schedule.boundaries=(0.9,0.1)", "increasing"),
        ("validation=1.0", "config.validation=1"),
        ("seed", "has no value"),
        ("precision=float8", "float32, bfloat16"),
    ],
)
def test_bad_overrides_are_refused_by_name(file, override, words):
    with pytest.raises(ConfigError) as refused:
        load_config(file, [override])
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optimizer.name=sgd", "optimizer.momentum=0.9"], "nothing to config.optimizer.name=sgd: it is for momentum"),
        (["optimizer.name=adam", "optimizer.rho=0.5"], "it is for adadelta, rmsprop"),
        (["schedule.name=cosine", "schedule.boundaries=0.5,0.6"], "it is for multi_step"),
        (["schedule.name=step", "schedule.factor=(0.1,0.2)"], "with multi_step a tuple as long as"),
        (["schedule.name=multi_step", "schedule.factor=(0.1,0.2,0.3)"], "as long as config.schedule.boundaries"),
        (["schedule.warmup=constant"], "set config.schedule.warmup_from above 0"),
        (["optimizer.name=adamw", "optimizer.decay_form=l2"], "use config.optimizer.name=adam"),
        (["optimizer.clip_norm=1", "optimizer.clip_value=1"], "set one of them"),
        (["average.decay=0.5"], "config.average.name=ema"),
        (["average.start=0.5"], "config.average.name=ema or polyak"),
        (["average.name=swa"], "one of none, ema, polyak"),
        (["init_layers=conv1"], "without config.init_from=WORKDIR"),
        (["accumulate=3"], "does not divide config.batch_size=128"),
        (["early_stopping=0"], "a positive number of evaluations"),
        (["schedule.max_cuts=0", "schedule.name=plateau"], "or None for no limit"),
        (["freeze=3"], "config.freeze=(3,) must be a tuple of patterns"),
        (["optimizer.groups.fc1=fast"], "config.optimizer.groups.fc1='fast' must be a factor"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(file, overrides, words):
    with pytest.raises(ConfigError) as refused:
        load_config(file, overrides)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_words_and_nones_from_the_command_line(file):
    config = load_config(
        file, ["init_from=runs/a:12", "optimizer.decay_form=decoupled", "schedule.max_cuts=3", "schedule.name=plateau"]
    )
    assert config.init_from == "runs/a:12"
    assert config.optimizer.decay_form == "decoupled"
    assert load_config(file, ["init_from=None"]).init_from is None
    assert load_config(file, ["init_from=2015"]).init_from == "2015"


def test_one_length_exactly(file):
    with pytest.raises(ConfigError, match="total_steps and total_epochs"):
        load_config(file, ["total_steps=3", "total_epochs=2"])
    with pytest.raises(ConfigError, match="none"):
        load_config(file, ["total_epochs=None"])
    with pytest.raises(ConfigError, match="set exactly one"):
        resolve({"total_steps": 3, "total_examples": 5})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "defines no get_config"),
        ("def get_config(arg=''):\n    return 3", "not a ConfigDict"),
        ("def get_config(arg=''):\n    return 1 / 0", "line 2: ZeroDivisionError"),
        ("def get_config(arg=''):\n    return {'bach_size': 3}", "did you mean config.batch_size"),
        ("def get_config(:", "SyntaxError"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, words):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_config(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.py does not exist"):
        load_config(tmp_path / "nowhere.py")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        load_config(tmp_path / "config.json")


_ANY = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.floats(), max_size=3)
)


@pytest.mark.parametrize("value", [1.0715086071862673e301, 1.7976931348623157e308])
def test_the_largest_numbers_come_back_from_json(value):
    config = resolve({"total_epochs": 1, "aux_weight": value})
    assert resolve(json.loads(canonical_json(config))).aux_weight == value
    with pytest.raises(ConfigError, match="aux_weight"):
        resolve({"total_epochs": 1, "aux_weight": 2**1024})


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(sorted(SCHEMA)) | st.text(max_size=12), value=_ANY)
def test_fuzzed_values_are_taken_or_refused_by_name(key, value):
    try:
        config = resolve({"total_epochs": 1, key: value})
    except ConfigError as error:
        refusal = str(error)
    else:
        assert run_id(config) == run_id(resolve(json.loads(canonical_json(config))))
        return
    assert "\n" not in refusal
    assert "config." in refusal or "config sets" in refusal
