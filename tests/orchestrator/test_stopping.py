"""The plateau against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.stopping import Plateau
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
    """Complete trials since the last one that changed the front, by the words of `Plateau`."""
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
    plateau = Plateau(OBJECTIVES, AT_MOST_3 if is_limited else (), patience)
    limit = 3.0 if is_limited else 9.0
    assert not plateau.reached
    for number, point in enumerate(found):
        plateau.observe(trial(number, point))
        assert plateau.reached == (idle(found[: number + 1], limit) >= patience)


@given(points)
def test_without_patience_nothing_ends(found: list[tuple[float, float] | None]) -> None:
    plateau = Plateau(OBJECTIVES, (), None)
    for number, point in enumerate(found):
        plateau.observe(trial(number, point))
        assert not plateau.reached


def test_a_trial_with_known_values_changes_nothing() -> None:
    plateau = Plateau(OBJECTIVES, (), 1)
    plateau.observe(trial(0, (1, 1)))
    assert not plateau.reached
    plateau.observe(trial(1, (1, 1)))
    assert plateau.reached


def test_unfinished_stopped_and_failed_trials_say_nothing() -> None:
    plateau = Plateau(OBJECTIVES, (), 1)
    plateau.observe(trial(0, (1, 1)))
    for state in TrialState:
        if state is not TrialState.COMPLETE:
            plateau.observe(Trial("a", 1, {}, 0, state))
    assert not plateau.reached
