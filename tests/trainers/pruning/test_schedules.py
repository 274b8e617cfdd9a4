"""Schedules follow their formulas, only rise, and end at the sparsity that was asked for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.pruning.config import SCHEDULES as NAMES
from trainers.pruning.schedules import SCHEDULES, sparsity_at


def test_every_name_has_a_formula() -> None:
    assert tuple(SCHEDULES) == NAMES


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("one_shot", 0.39, 0.0),
        ("one_shot", 0.4, 0.9),
        ("iterative", 0.2, 0.0),
        ("iterative", 0.3, 0.3),
        ("iterative", 0.6, 0.6),
        ("iterative", 0.8, 0.9),
        ("gradual", 0.6, 0.9 - 0.9 * 0.5**3),
        ("one_cycle", 0.5, 0.9 * (1 + math.exp(-8)) / (1 + math.exp(6 - 7))),
    ],
)
def test_values_computed_by_hand(schedule: str, progress: float, expected: float) -> None:
    assert sparsity_at(schedule, 0.9, progress) == pytest.approx(expected)


@given(st.sampled_from(NAMES), st.floats(0, 0.999), st.floats(0, 1), st.floats(0, 1))
@pytest.mark.slow
def test_sparsity_never_falls(schedule: str, final: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    # Up to rounding of the last bit.
    assert sparsity_at(schedule, final, low) <= sparsity_at(schedule, final, high) + 1e-12
    assert sparsity_at(schedule, final, 1.0) == pytest.approx(final)
