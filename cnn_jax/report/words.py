"""Numbers as people read them, and the report's answer in plain words, made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_jax.report.results import Network, Results, compare
from cnn_jax.sweep.statistics import Difference, Interval


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent, without the sign: `15.4`; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f}"


def interval_range(interval: Interval) -> str:
    """`14.1 to 16.7 %`, or the mean alone when there is no interval. An error is never below zero."""
    digits = digits_for(interval.mean)
    if interval.lo is None or interval.hi is None:
        return f"{percent(interval.mean, digits)} %"
    return f"{percent(max(interval.lo, 0.0), digits)} to {percent(min(interval.hi, 1.0), digits)} %"


def plus_minus(interval: Interval | None, digits: int | None = None) -> str:
    """`15.4 ± 1.3`, in per cent; both with as many decimals."""
    if interval is None:
        return "–"
    digits = digits_for(interval.mean) if digits is None else digits
    return percent(interval.mean, digits) + ("" if interval.half is None else f" ± {percent(interval.half, digits)}")


def column(intervals: Sequence[Interval | None]) -> list[str]:
    """A column of means, all with as many decimals as the smallest is worth."""
    digits = digits_for(min((interval.mean for interval in intervals if interval), default=1.0))
    return [plus_minus(interval, digits) for interval in intervals]


def digits_for(share: float) -> int:
    """Decimals that a share in per cent is worth: one, or two where errors are a few per cent."""
    return 1 if share >= 0.05 else 2


def points(difference: Difference, digits: int) -> str:
    """A difference in percentage points with its sign and interval: `−5.8 [−7.1, −4.5]`."""
    if difference.lo is None or difference.hi is None:
        return _signed(difference.mean, digits)
    return f"{_signed(difference.mean, digits)} [{_signed(difference.lo, digits)}, {_signed(difference.hi, digits)}]"


def _signed(share: float, digits: int) -> str:
    return ("−" if share < 0 else "+") + percent(abs(share), digits)


def verdict(difference: Difference) -> str:
    """`better`, `worse` or `not separated at n=3`; `a` of the difference is the subject, errors what is compared."""
    if not difference.separated:
        return f"not separated at n={difference.n}"
    return "better" if difference.mean < 0 else "worse"


def count(number: float) -> str:
    """A count in three significant digits: `272 k`, `40.8 M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            digits = 0 if number >= 100 * size else 1 if number >= 10 * size else 2
            return f"{number / size:.{digits}f} {letter}"
    return f"{number:.0f}"


def round_count(number: float) -> str:
    """A round count, for the ticks of an axis: `200 k`, `1 M`."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size * 0.999:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def duration(seconds: float | None) -> str:
    """`12.3 s`, `7 min 11 s` or `2 h 05 min`."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def answer(results: Results) -> list[str]:
    """The report's answer: sentences, none of which claims more than the paired intervals do."""
    best = results.best
    if best is None or best.test_error is None:
        return ["No run has finished: there is no answer yet."]
    n = len(best.done)
    mean = best.test_error
    spread = f" (95% interval {interval_range(mean)}, n = {n})" if mean.lo is not None else f" (n = {n}: no interval)"
    sentences = [
        f"{best.label} ({best.year}) has the lowest test error, {percent(mean.mean, digits_for(mean.mean))} %{spread}."
    ]
    if all(len(network.done) == 1 for network in results.measured):
        sentences.append("With one seed each, no two networks are separated.")
    else:
        sentences += _against_the_rest(results, best) + _step_by_step(results)
    for status in ("failed", "missing"):
        number = sum(run.status == status for run in results.runs)
        labels = [n.label for n in results.networks if any(run.status == status for run in n.runs)]
        if number:
            verb = "failed" if status == "failed" else "is missing" if number == 1 else "are missing"
            them = "it" if number == 1 else "them"
            sentences.append(
                f"{number} of {len(results.runs)} runs {verb} ({listed(labels)}); the means leave {them} out."
            )
    return sentences


def _against_the_rest(results: Results, best: Network) -> list[str]:
    better, unclear = [], []
    for other in results.measured:
        difference = compare(best, other) if other is not best else None
        if difference is not None:
            (better if difference.separated else unclear).append((other.label, difference.n))
    sentences = []
    if better:
        all_others = len(better) > 1 and len(better) == len(results.measured) - 1
        names = "every other network" if all_others else listed([label for label, _ in better])
        sentences.append(f"It is better than {names}.")
    for n in sorted({n for _, n in unclear}, reverse=True):
        sentences.append(f"It is not separated from {listed([label for label, m in unclear if m == n])} at n={n}.")
    return sentences


def _step_by_step(results: Results) -> list[str]:
    kinds: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
    for before, after in zip(results.measured, results.measured[1:], strict=False):
        difference = compare(after, before)
        if difference is not None:
            kind = verdict(difference) if difference.separated else "unclear"
            kinds[kind].append(after.label)
    steps = sum(map(len, kinds.values()))
    if not steps:
        return []
    parts = [f"falls in {len(kinds['better'])} of {steps} steps"]
    if kinds["worse"]:
        parts.append(f"rises at {listed(kinds['worse'])}")
    if kinds["unclear"]:
        parts.append(f"is not separated at {listed(kinds['unclear'])}")
    return [f"From one network to the next in history the error {listed(parts)}."]
