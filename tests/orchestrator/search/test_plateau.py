"""The plateau against its definition."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.search.plateau import FROZEN_AFTER, FrontPlateau, VolumePlateau, plateau_of
from orchestrator.spec.run_sections import PlateauSection
from orchestrator.trials import Trial, TrialState

OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
)
AT_MOST_3 = (Constraint("memory_bytes", "<=", 3.0),)


def trial(number: int, point: tuple[float, float] | None) -> Trial:
    if point is None:
        return Trial("a", number, {}, 0, TrialState.FAILED)
    values = {"accuracy": point[0], "memory_bytes": point[1]}
    return Trial("a", number, {}, 0, TrialState.COMPLETE, values=values)


def idle(points: list[tuple[float, float] | None], limit: float) -> int:
    """Complete trials since the last one that changed the front, as `FrontPlateau` says it."""
    complete = [point for point in points if point is not None]
    last = 0
    for number, (accuracy, size) in enumerate(complete):
        feasible = [point for point in complete[:number] if point[1] <= limit]
        if size <= limit and not any(a >= accuracy and s <= size for a, s in feasible):
            last = number + 1
    return len(complete) - last


points = st.lists(st.none() | st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=25)


@given(points, st.integers(1, 6), st.booleans())
def test_a_plateau_is_reached_when_its_definition_says_so(
    found: list[tuple[float, float] | None], patience: int, is_limited: bool
) -> None:
    plateau = FrontPlateau(OBJECTIVES, AT_MOST_3 if is_limited else (), patience)
    limit = 3.0 if is_limited else 9.0
    assert not plateau.reached
    for number, point in enumerate(found):
        plateau.observe(trial(number, point))
        assert plateau.reached == (idle(found[: number + 1], limit) >= patience)


def test_a_plateau_is_of_the_kind_that_is_asked_for() -> None:
    assert plateau_of(None, OBJECTIVES, ()) is None
    section = PlateauSection(trials=3)
    assert isinstance(plateau_of(section, OBJECTIVES, ()), FrontPlateau)
    section = PlateauSection(trials=3, growth=0.01)
    assert isinstance(plateau_of(section, OBJECTIVES, ()), VolumePlateau)


def test_a_trial_with_known_values_changes_nothing() -> None:
    plateau = FrontPlateau(OBJECTIVES, (), 1)
    plateau.observe(trial(0, (1, 1)))
    assert not plateau.reached
    plateau.observe(trial(1, (1, 1)))
    assert plateau.reached


def test_unfinished_stopped_and_failed_trials_say_nothing() -> None:
    plateau = FrontPlateau(OBJECTIVES, (), 1)
    plateau.observe(trial(0, (1, 1)))
    for state in TrialState:
        if state is not TrialState.COMPLETE:
            plateau.observe(Trial("a", 1, {}, 0, state))
    assert not plateau.reached


sized = st.lists(
    st.none() | st.tuples(st.floats(0, 1), st.floats(1, 1e6)), min_size=5, max_size=40
)


def first_points(count: int = FROZEN_AFTER) -> list[tuple[float, float]]:
    """Points that trade off: each is on the front."""
    return [(0.5 + number / 100, 10.0 ** (3 + number / 10)) for number in range(count)]


def volumes(points: list[tuple[float, float]]) -> list[float]:
    """After each point from the frozen bounds on, by counting: area of a staircase."""
    if len(points) < FROZEN_AFTER:
        return []
    logs = [(-accuracy, math.log(size)) for accuracy, size in points]
    first = logs[:FROZEN_AFTER]
    best = [min(point[axis] for point in first) for axis in (0, 1)]
    worst = [max(point[axis] for point in first) for axis in (0, 1)]
    span = [(w - b) + 0.1 * ((w - b) or abs(w) or 1.0) for b, w in zip(best, worst, strict=True)]
    scaled = [tuple((p[a] - best[a]) / span[a] for a in (0, 1)) for p in logs]
    return [area(scaled[:end]) for end in range(FROZEN_AFTER, len(points) + 1)]


def area(points: list[tuple[float, ...]]) -> float:
    total, height = 0.0, 1.0
    for x, y in sorted(points):
        if x < 1 and y < height:
            total += (1 - x) * (height - y)
            height = y
    return total


@pytest.mark.slow
@given(sized, st.integers(1, 5), st.floats(1e-4, 0.5))
def test_the_volume_is_that_between_the_frozen_bounds(
    found: list[tuple[float, float] | None], patience: int, growth: float
) -> None:
    plateau = VolumePlateau(OBJECTIVES, (), patience, growth)
    known: list[tuple[float, float]] = []
    for number, point in enumerate(found):
        plateau.observe(trial(number, point))
        known += [point] if point else []
        grown = volumes(known)
        expected = False
        if len(grown) > patience:
            before = grown[-1 - patience]
            margin = grown[-1] - before - growth * before
            if abs(margin) < 1e-9 * before:  # either answer is right
                return
            expected = margin < 0
        assert plateau.reached == expected


def test_a_plateau_of_volume_waits_until_its_bounds_are_frozen() -> None:
    plateau = VolumePlateau(OBJECTIVES, (), 2, 0.5)
    for number in range(FROZEN_AFTER):
        plateau.observe(trial(number, (0.5, 100.0)))
        assert not plateau.reached
    for number in range(2):
        plateau.observe(trial(number, (0.5, 100.0)))
    assert plateau.reached
    assert plateau.reason == "the hypervolume grew by less than 50 % in 2 trials"


def test_a_step_that_the_front_counts_may_be_too_small_for_the_volume() -> None:
    """Each trial is on the front, and none of them matters."""
    plateaus = FrontPlateau(OBJECTIVES, (), 5), VolumePlateau(OBJECTIVES, (), 5, 0.001)
    points = first_points()
    points += [(points[-1][0] + number * 1e-9, points[-1][1]) for number in range(1, 8)]
    for number, point in enumerate(points):
        for plateau in plateaus:
            plateau.observe(trial(number, point))
    assert [plateau.reached for plateau in plateaus] == [False, True]


def test_values_beyond_the_bounds_add_nothing() -> None:
    plateau = VolumePlateau(OBJECTIVES, (), 1, 0.001)
    for number, point in enumerate([*first_points(), (0.99, 1e12)]):
        plateau.observe(trial(number, point))
    assert plateau.reached


def test_infeasible_trials_count_and_add_nothing() -> None:
    plateau = VolumePlateau(OBJECTIVES, (Constraint("memory_bytes", "<=", 1e5),), 2, 0.001)
    for number, point in enumerate([*first_points(), (1.0, 2e5), (1.0, 2e5)]):
        plateau.observe(trial(number, point))
    assert plateau.reached


def test_siblings_count_with_their_volume_alone() -> None:
    plateau = VolumePlateau(OBJECTIVES, (), 1, 0.001)
    for number, point in enumerate(first_points()):
        plateau.observe(trial(number, point))
    sibling = replace(trial(10, (0.1, 1e7)), sampler_attrs={"origin": 0})
    plateau.observe(sibling)
    assert not plateau.reached
    plateau.observe(trial(11, (0.1, 1e7)))
    assert plateau.reached
    better = replace(sibling, values={"accuracy": 0.9, "memory_bytes": 100.0})
    plateau.observe(better)
    assert not plateau.reached
