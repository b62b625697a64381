"""The judge of most trained claims: one arm is said to have less error than another, and five seeds say whether."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnn_jax.sweep.claims import NOT_REPRODUCED, NOT_SEPARATED, REPRODUCED, Compared, Finding
from cnn_jax.sweep.statistics import CONFIDENCE, Difference, mean_interval, paired_difference

if TYPE_CHECKING:
    import pandas as pd


def by_seed(results: pd.DataFrame, arm: str, column: str = "test_error") -> list[float]:
    """A column of one arm, ordered by seed; shares of examples in percent."""
    rows = results.loc[results.arm == arm].sort_values(by="seed")
    return [100 * value if column.endswith("_error") else value for value in rows[column].tolist()]


def best_of(results: pd.DataFrame, key: str, column: str = "validation_loss") -> pd.DataFrame:
    """The rows of each arm at the value of a setting that gives the lowest mean over seeds.

    A value at which a run has no number, such as one that diverged, is not the best.

    Args:
        results: the tidy table of a sweep, with the column `arm`.
        key: the setting, such as `optimizer.learning_rate`.
        column: what is to be low; never of the test split.
    """
    means = results.groupby(["arm", key])[column].agg(lambda values: values.mean(skipna=False))
    best = means.groupby("arm").idxmin()
    return results.loc[[best[arm] == (arm, value) for arm, value in zip(results.arm, results[key], strict=True)]]


def judge_order(
    results: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    column: str = "test_error",
    *,
    what: str = "test error, %",
    of: int = 1,
    beside: Sequence[str] = (),
) -> Finding:
    """Judges the claim that of each pair of arms the first has the lower value.

    Differences are paired by seed. Of m comparisons each has the t interval of 1 - 0.05 / m, so that all hold together
    with 95% (Bonferroni).

    Args:
        results: the tidy table of a sweep, with the column `arm`.
        pairs: `(lower, higher)`, as the claim has it.
        column: of the table.
        what: the column in words, with its unit.
        of: how many such judgements the claim consists of: m is so many times the pairs.
        beside: arms that are told with their means and decide nothing.

    Returns:
        `reproduced` if every interval lies below zero, `not reproduced` if one lies above it, else `not separated`.
    """
    confidence = 1 - (1 - CONFIDENCE) / (len(pairs) * of)
    found = {
        pair: paired_difference(*(by_seed(results, arm, column) for arm in pair), confidence=confidence)
        for pair in pairs
    }
    rows = tuple(
        Compared(f"{what}: {lower} less {higher}", "below 0", difference.mean, _below(difference))
        for (lower, higher), difference in found.items()
    )
    arms = dict.fromkeys(arm for pair in pairs for arm in pair)
    told = [f"{arm} {_interval(by_seed(results, arm, column))}" for arm in arms]
    told += [f"{arm} {_interval(by_seed(results, arm, column))}" for arm in beside]
    says = f"{what}: {', '.join(told)}"
    return Finding(_verdict(list(found.values())), says, rows)


def _verdict(differences: Sequence[Difference]) -> str:
    if all(map(_below, differences)):
        return REPRODUCED
    return NOT_REPRODUCED if any(d.separated and d.mean > 0 for d in differences) else NOT_SEPARATED


def all_of(*findings: Finding) -> Finding:
    """A claim of several parts: `not reproduced` if one is, `reproduced` if all are, else `not separated`."""
    verdicts = {finding.verdict for finding in findings}
    verdict = (
        NOT_REPRODUCED if NOT_REPRODUCED in verdicts else NOT_SEPARATED if NOT_SEPARATED in verdicts else REPRODUCED
    )
    rows = tuple(row for finding in findings for row in finding.compared)
    return Finding(verdict, "; ".join(finding.says for finding in findings), rows)


def _below(difference: Difference) -> bool:
    return difference.separated and difference.mean < 0


def _interval(values: Sequence[float]) -> str:
    interval = mean_interval(values)
    return f"{interval.mean:.4g}" + ("" if interval.half is None else f" ± {interval.half:.2g}")
