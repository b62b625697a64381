"""The tidy table: columns of one kind each, which every format takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cnn_jax.sweep.tidy import table


def rows(*values):
    return [{"settings": {"schedule.factor": v}, "label": str(v), "test_error": 0.1} for v in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.1, (0.4, 0.5)), ["0.1", "(0.4,0.5)"]),
        ((True, 0.5), ["True", "0.5"]),
        (("none", 2, None), ["none", "2", None]),
        ((1, 2.5), [1, 2.5]),
        ((False, True), [False, True]),
    ],
)
def test_a_column_is_of_one_kind_and_is_written(values, expected, tmp_path):
    frame = table(rows(*values))
    frame.to_parquet(tmp_path / "t.parquet")
    for found in (frame, pd.read_parquet(tmp_path / "t.parquet")):
        column = found["schedule.factor"]
        assert column.replace({np.nan: None}).tolist() == expected


def test_a_setting_that_some_cells_lack_is_empty_there(tmp_path):
    cells = [*rows(0.1), {"settings": {}, "label": "base", "test_error": None}]
    frame = table(cells)
    assert frame["schedule.factor"].isna().tolist() == [False, True]
    assert frame.test_error.dtype == float
    frame.to_parquet(tmp_path / "t.parquet")
