"""Sums of violations that differ by rounding alone are equal."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.constraints import Constraint, total_violation
from orchestrator.fronts.front import compute_front
from orchestrator.objectives import Direction, Objective
from orchestrator.pareto.violations import least_violated, violation_levels
from orchestrator.sampling.history_window import BEST, Window
from orchestrator.scheduling.ranking import place
from orchestrator.trials import Trial, TrialState

GOALS = (Objective("accuracy", Direction.MAXIMIZE), Objective("a", Direction.MINIMIZE))
LIMITS = [Constraint(name, "<=", 1.0) for name in "abc"]
# The same three violations, each time in another order.
ROWS = [
    {"accuracy": 0.5 + place / 10, **dict(zip("abc", values, strict=True))}
    for place, values in enumerate(permutations((1.6, 1.8, 2.3)))
]


def trials():
    return [
        Trial("s", number, {"x": number}, 0, TrialState.COMPLETE, values=row)
        for number, row in enumerate(ROWS)
    ]


def test_these_sums_differ_by_rounding_so_that_the_others_test_something() -> None:
    sums = {total_violation(LIMITS, row) for row in ROWS}
    assert len(sums) > 1
    assert max(sums) - min(sums) < 1e-12


def test_no_trial_leaves_the_least_violating_front_for_rounding() -> None:
    front = compute_front(trials(), GOALS, LIMITS)
    assert not front.feasible
    assert len(front.competitors) == len(ROWS)
    # The best accuracy of each value of a.
    assert [member.trial for member in front] == [5, 3, 1]


def test_no_trial_ranks_behind_another_for_rounding() -> None:
    peers = dict(enumerate(ROWS))
    assert place(5, peers, GOALS, LIMITS).better == 0
    assert place(1, peers, GOALS, LIMITS).better == 0


def test_equal_violations_keep_their_order_in_the_sampler_s_window() -> None:
    window = Window(GOALS, LIMITS, 0)
    window.add(trials() * (BEST // len(ROWS) + 1))
    assert len({trial.number for _, trial in window._best}) == len(ROWS)
    sums = [total_violation(LIMITS, row) for row in ROWS]
    assert least_violated(sums) == list(range(len(ROWS)))


@pytest.mark.parametrize(
    ("sums", "levels"),
    [
        ([], []),
        ([0.0], [0]),
        ([0.2, 0.0, 0.1], [2, 0, 1]),
        ([math.inf, 0.3, math.inf, 0.1 + 0.2], [1, 0, 1, 0]),
        ([0.0, 1e-12], [0, 0]),
        ([0.0, 1e-6], [0, 1]),
        ([1e9, 1e9 + 1e-3], [0, 0]),
    ],
)
def test_levels(sums, levels) -> None:
    assert violation_levels(sums).tolist() == levels


@pytest.mark.slow
@given(st.lists(st.floats(0, 10) | st.just(math.inf), max_size=8))
def test_levels_follow_the_sums_whatever_their_order(sums) -> None:
    levels = violation_levels(sums).tolist()
    assert violation_levels(sums[::-1]).tolist() == levels[::-1]
    for one, first in zip(sums, levels, strict=True):
        for other, second in zip(sums, levels, strict=True):
            assert first <= second or one > other
