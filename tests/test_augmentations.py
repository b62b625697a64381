"""The entries of `config.augment`: what is read, what is refused, and that the table says what the functions do."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from cnn_jax import ops
from cnn_jax.augmentations import AUGMENTATIONS, MIXING, Number, describe, legend, read_augmentations
from cnn_jax.config import load_config, resolve
from cnn_jax.errors import ConfigError

FUNCTIONS = {
    "flip": ops.random_flip,
    "alternating_flip": ops.alternating_flip,
    "pad_crop": ops.pad_crop,
    "resized_crop": ops.random_resized_crop,
    "rotation": ops.random_rotation,
    "scale": ops.random_scale,
    "translation": ops.random_translation,
    "elastic": ops.elastic,
    "brightness": ops.random_brightness,
    "contrast": ops.random_contrast,
    "saturation": ops.random_saturation,
    "hue": ops.random_hue,
    "pca_colour": ops.pca_colour,
    "cutout": ops.cutout,
    "mixup": ops.mixup,
    "cutmix": ops.cutmix,
}
# Not the user's: they come from the run.
FROM_THE_RUN = {"epoch", "covariance"}


def test_every_entry_has_the_parameters_and_defaults_of_its_function():
    assert set(FUNCTIONS) == set(AUGMENTATIONS)
    assert set(MIXING) < set(AUGMENTATIONS)
    for name, function in FUNCTIONS.items():
        keywords = {k: p for k, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
        assert keywords.keys() - FROM_THE_RUN == AUGMENTATIONS[name].keys(), name
        for key, parameter in AUGMENTATIONS[name].items():
            assert keywords[key].default == parameter.default, (name, key)


def test_values_are_read():
    entries = read_augmentations(("flip", "pad_crop:2,mode=reflect", "rotation:outside=edge,degrees=5", "elastic:30"))
    assert [entry.name for entry in entries] == ["flip", "pad_crop", "rotation", "elastic"]
    assert entries[0].parameters == {"probability": 0.5}
    assert entries[1].parameters == {"pad": 2, "mode": "reflect"}
    assert entries[2].parameters == {"degrees": 5.0, "outside": "edge"}
    assert entries[3].parameters == {"alpha": 30.0, "sigma": 4, "outside": "zeros"}


def test_ends_of_every_range_are_legal_and_what_lies_beyond_is_not():
    for name, parameters in AUGMENTATIONS.items():
        for key, parameter in parameters.items():
            if isinstance(parameter, Number):
                for value in (parameter.low, parameter.high):
                    assert read_augmentations((f"{name}:{key}={value}",))[0].parameters[key] == value
                for value in (parameter.low - 1e-3 - parameter.whole, parameter.high + 1e-3 + parameter.whole):
                    with pytest.raises(ConfigError):
                        read_augmentations((f"{name}:{key}={value}",))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("rotate", ("legal are flip", "rotation: degrees=15 (0 to 180)", "mixup: alpha=0.2 (0.01 to 100)")),
        ("", ("legal are flip",)),
        ("pad_crop:1.5", ("'1.5' is not legal", "pad=4 (whole 0 to 512)", "mode=zeros (zeros or reflect)")),
        ("pad_crop:4,reflect", ("'reflect' is not legal", "mode=zeros")),
        ("pad_crop:4,pad=5", ("'pad=5' is not legal",)),
        ("pad_crop:", ("'' is not legal",)),
        ("rotation:181", ("0 to 180",)),
        ("rotation:nan", ("0 to 180",)),
        ("rotation:angle=5", ("'angle=5' is not legal", "degrees=15")),
        ("elastic:34,outside=black", ("zeros or edge",)),
        ("alternating_flip:1", ("takes no parameters",)),
        (3, ("an entry is a string",)),
    ],
)
def test_what_is_not_legal_is_refused_with_what_is(entry, words):
    with pytest.raises(ConfigError, match=r"E-CONF-08: config\.augment has") as refused:
        resolve({"augment": ("flip", entry), "total_steps": 1})
    assert repr(entry) in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_the_command_line_keeps_an_entry_with_commas_together(tmp_path):
    file = tmp_path / "config.py"
    file.write_text("def get_config(arg=''):\n    return {'total_steps': 1}\n")
    config = load_config(file, ["augment=flip,pad_crop:4,mode=reflect,cutout"])
    assert config.augment == ("flip", "pad_crop:4,mode=reflect", "cutout")


def test_the_documentation_has_every_entry_and_its_ranges():
    text = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for name, parameters in AUGMENTATIONS.items():
        row = next(row for row in rows if f"`{name}`" in row.split("|")[1])
        for key, parameter in parameters.items():
            assert f"`{key}`" in row
            if isinstance(parameter, Number):
                assert f"`{key}` ({parameter.default:.3g}; {parameter.low:g} to {parameter.high:g})" in row


def test_the_legend_names_everything():
    for name, parameters in AUGMENTATIONS.items():
        assert describe(name) in legend()
        assert all(key in describe(name) for key in parameters)
