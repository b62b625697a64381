"""Every schedule against its closed form, and reduce on plateau against sequences worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnn_jax.config import resolve
from cnn_jax.train.plateau import after_evaluation, initial_plateau
from cnn_jax.train.schedule import make_schedule

T, RATE = 100, 0.4


def rates(name, steps=T, steps_per_epoch=10.0, **keys):
    flat = {"total_steps": steps, "schedule.name": name, **{f"schedule.{k}": v for k, v in keys.items()}}
    schedule = make_schedule(resolve(flat).schedule, RATE, steps, steps_per_epoch)
    return np.array([schedule(step) for step in range(steps)], np.float64)


@pytest.mark.parametrize(
    ("name", "keys", "closed_form"),
    [
        ("constant", {}, lambda t: RATE),
        ("plateau", {}, lambda t: RATE),
        ("step", {"every_epochs": 2, "factor": 0.94}, lambda t: RATE * 0.94 ** math.floor(t / 20)),
        ("multi_step", {"boundaries": (0.5, 0.75)}, lambda t: RATE * 0.1 ** ((t >= 50) + (t >= 75))),
        (
            "multi_step",
            {"boundaries": (0.1, 0.25), "factor": (0.4, 0.5)},
            lambda t: RATE * (0.4 if t >= 10 else 1) * (0.5 if t >= 25 else 1),
        ),
        ("polynomial", {"power": 0.5}, lambda t: RATE * (1 - t / T) ** 0.5),
        ("cosine", {}, lambda t: RATE * (1 + math.cos(math.pi * t / T)) / 2),
        ("exponential", {"factor": 0.01}, lambda t: RATE * 0.01 ** (t / T)),
    ],
)
def test_closed_form(name, keys, closed_form):
    np.testing.assert_allclose(rates(name, **keys), [closed_form(t) for t in range(T)], rtol=2e-5, atol=1e-7)


def test_linear_warm_up_comes_first_and_is_part_of_the_total():
    found = rates("cosine", warmup_steps=20)
    np.testing.assert_allclose(found[:20], [RATE * t / 20 for t in range(20)], rtol=1e-6)
    np.testing.assert_allclose(found[20:], [RATE * (1 + math.cos(math.pi * t / 80)) / 2 for t in range(80)], atol=1e-6)


def test_constant_warm_up_and_boundaries_counted_from_the_start():
    """ResNet-110: 0.01 at first, then 0.1, divided at half and three quarters (He et al. 2015, section 4.2)."""
    found = rates("multi_step", warmup_steps=20, warmup="constant", warmup_from=0.1)
    expected = [RATE * (0.1 if t < 20 else 0.1 ** ((t >= 50) + (t >= 75))) for t in range(T)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_steps_are_counted_from_the_start_too():
    found = rates("step", warmup_steps=5, warmup_from=0.5, every_epochs=1, factor=0.5)
    np.testing.assert_allclose(found[5:], [RATE * 0.5 ** (t // 10) for t in range(5, T)], rtol=1e-5)


def test_boundaries_that_fall_on_one_step_all_count():
    np.testing.assert_allclose(rates("multi_step", steps=2, boundaries=(0.4, 0.5, 0.6)), [RATE, RATE * 1e-3], rtol=1e-5)


def plateau_scales(errors, **keys):
    schedule = resolve(
        {"total_steps": 1, "schedule.name": "plateau", **{f"schedule.{k}": v for k, v in keys.items()}}
    ).schedule
    state, scales = initial_plateau(), []
    for error in errors:
        state = after_evaluation(state, error, schedule)
        scales.append(round(float(state.scale), 6))
    return scales


@pytest.mark.parametrize(
    ("errors", "keys", "scales"),
    [
        # Two evaluations that are no better than the best cut the rate; a tie is no better.
        ([0.9, 0.8, 0.8, 0.85, 0.7], {"patience": 2}, [1, 1, 1, 0.1, 0.1]),
        # The count starts again with an improvement.
        ([0.9, 0.95, 0.8, 0.85, 0.84], {"patience": 2}, [1, 1, 1, 1, 0.1]),
        # And after a cut; the best stays the best.
        ([0.5, 0.6, 0.6, 0.6, 0.6, 0.4], {"patience": 2, "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        # AlexNet's rate was cut three times.
        ([0.5] * 7, {"patience": 1, "max_cuts": 3}, [1, 0.1, 0.01, 0.001, 0.001, 0.001, 0.001]),
        # Less than min_delta is no improvement.
        ([0.5, 0.495, 0.48], {"patience": 1, "min_delta": 0.01}, [1, 0.1, 0.1]),
    ],
)
def test_plateau_cuts_where_it_must(errors, keys, scales):
    assert plateau_scales(errors, **keys) == pytest.approx(scales)
