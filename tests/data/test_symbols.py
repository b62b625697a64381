"""The ten symbols: where they stand, what they look like, and that a seed is all that decides."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_jax.data.symbols import CLASSES, PATTERNS, SQUARE, symbols, symbols_dataset
from cnn_jax.errors import ConfigError


def test_a_symbol_stands_where_it_was_asked_for():
    found = symbols(40, seed=1, size=16, rows=(4, 4), columns=(2, 2))
    bright = np.asarray(found.image)[..., 0] > 120  # three deviations from the background and from a square
    for image, label in zip(bright, found.label, strict=True):
        expected = np.zeros((16, 16), bool)
        for row, line in enumerate(PATTERNS[CLASSES[label]]):
            for column, mark in enumerate(line):
                top, left = 4 + SQUARE * row, 2 + SQUARE * column
                expected[top : top + SQUARE, left : left + SQUARE] = mark == "#"
        assert (image != expected).mean() < 0.02


def test_all_places_and_all_symbols_are_used():
    found = symbols(2000, seed=0, size=12)
    assert set(found.label.tolist()) == set(range(10))
    bright = np.asarray(found.image)[found.label == CLASSES.index("ring"), :, :, 0] > 120
    corners = {(int(one.any(1).argmax()), int(one.any(0).argmax())) for one in bright}
    assert {(row, column) for row in range(4) for column in range(4)} <= corners


def test_no_two_symbols_are_alike():
    assert len(set(PATTERNS.values())) == len(CLASSES) == 10
    assert {len(line) for lines in PATTERNS.values() for line in lines} == {3}


def test_the_seed_decides():
    one, again, other = (symbols(5, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.image, again.image)
    assert not np.array_equal(one.image, other.image)
    assert one.image.shape == (5, 32, 32, 1)


@pytest.mark.parametrize("rows", [(-1, 3), (0, 24), (5, 4)])
def test_places_outside_are_refused(rows):
    with pytest.raises(ConfigError, match=r"E-CONF-66: symbols at rows .* use first <= last, from 0 to 23"):
        symbols(1, seed=0, rows=rows)


def test_a_data_set_of_them_is_known_by_its_content():
    parts = [symbols(20, seed=seed) for seed in range(4)]
    one, other = symbols_dataset(*parts[:3]), symbols_dataset(*parts[1:])
    assert one.classes == CLASSES
    assert set(one.splits) == {"train", "validation", "test"}
    assert one.fingerprint != other.fingerprint
    assert set(symbols_dataset(*parts[:2]).splits) == {"train", "validation"}
