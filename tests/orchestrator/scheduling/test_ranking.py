import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.pareto.crowding import crowding
from orchestrator.scheduling.ranking import Place, best_first, place

ACCURACY = Objective("accuracy", Direction.MAXIMIZE)
MEMORY = Objective("memory_bytes", Direction.MINIMIZE)
BOTH = (ACCURACY, MEMORY)


def peers(*points):
    return {
        number: {
            name: value
            for name, value in zip(("accuracy", "memory_bytes"), point, strict=True)
            if value is not None
        }
        for number, point in enumerate(points)
    }


def before(among, objectives=BOTH, constraints=()):
    return [sum(place(trial, among, objectives, constraints)) for trial in among]


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12),
    st.sampled_from([(), (Constraint("memory_bytes", "<=", 2.0),)]),
)
def test_the_order_of_all_is_that_of_their_places(points, constraints) -> None:
    among = peers(*points)
    order = best_first(among, BOTH, constraints)
    assert sorted(order) == sorted(among)
    places = [sum(place(trial, among, BOTH, constraints)) for trial in order]
    assert places == sorted(places)


def test_a_lone_trial_stands_first() -> None:
    assert place(0, peers((0.5, 10.0)), BOTH) == Place(0, 0)


def test_with_one_objective_the_order_is_that_of_the_values() -> None:
    assert before(peers((0.5, 1.0), (0.9, 2.0), (0.7, 3.0)), (ACCURACY,)) == [2, 0, 1]
    assert before(peers((0.5, 1.0), (0.9, 2.0), (0.7, 3.0)), (MEMORY,)) == [0, 1, 2]


def test_equals_share_their_place() -> None:
    assert before(peers((0.5, 1.0), (0.5, 1.0), (0.4, 2.0))) == [0, 0, 2]
    assert before(peers((0.5, 1.0), (0.5, 1.0))) == [0, 0]


def test_a_dominated_trial_stands_behind_the_front_however_alone_it_is() -> None:
    among = peers((0.9, 10.0), (0.89, 9.0), (0.88, 8.0), (0.1, 900.0))
    assert before(among) == [0, 2, 0, 3]
    assert place(3, among, BOTH) == Place(3, 0)


def test_on_a_front_a_lone_member_ranks_before_a_crowded_one() -> None:
    # As shares of the ranges, the gaps around the inner three are 1.4, 0.7 and 0.4.
    among = peers((0.0, 0.0), (0.5, 70.0), (0.7, 90.0), (0.8, 98.0), (1.0, 100.0))
    assert before(among) == [0, 2, 3, 4, 0]


def test_the_range_of_an_objective_is_that_among_all_peers_not_that_of_the_front() -> None:
    inner = peers((0.0, 0.0), (0.5, 1.0), (0.6, 7.0), (1.0, 10.0))
    # Within the front, memory has the larger gap around the second inner trial.
    assert before(inner) == [0, 3, 2, 0]
    # A dominated trial of a thousand times the size, and memory tells nobody apart any more.
    assert before(inner | {9: {"accuracy": 0.0, "memory_bytes": 1e4}}) == [0, 2, 3, 0, 4]


def test_feasibility_comes_first() -> None:
    among = peers((0.9, 300.0), (0.1, 100.0), (0.2, 250.0))
    limit = (Constraint("memory_bytes", "<=", 200),)
    assert before(among, constraints=limit) == [2, 0, 1]


def test_a_constraint_on_what_no_trial_measured_is_left_out() -> None:
    among = peers((0.9, 300.0), (0.1, 100.0))
    assert before(among, constraints=(Constraint("storage_bytes", "<=", 1),)) == [0, 0]
    # But who alone was not measured has not shown that it fits.
    among[0]["storage_bytes"] = 1.0
    assert before(among, constraints=(Constraint("storage_bytes", "<=", 1),)) == [0, 1]


def test_an_objective_that_no_trial_measured_is_left_out() -> None:
    assert before(peers((0.9, None), (0.8, None))) == [0, 1]
    assert before(peers((None, None), (None, None))) == [0, 0]


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_trial_without_a_number_ranks_behind_those_with_it_and_hides_none(value) -> None:
    among = peers((0.9, 2.0), (value, 1.0), (0.8, 1.0), (0.7, 3.0))
    assert before(among) == [0, 3, 0, 2]


def test_the_ends_of_a_front_stand_alone_and_equal_rows_equally_so() -> None:
    losses = np.array([[0.0, 4.0], [1, 2], [1, 2], [2, 1], [4, 0]])
    assert crowding(losses, np.array([4.0, 4.0])).tolist() == [
        math.inf,
        1.25,
        1.25,
        1.25,
        math.inf,
    ]


def test_a_column_of_equals_tells_no_trials_apart() -> None:
    losses = np.array([[0.0, 7.0], [1, 7], [4, 7]])
    assert crowding(losses, np.array([4.0, 0.0])).tolist() == [math.inf, 1.0, math.inf]
    assert crowding(losses[:1], np.array([0.0, 0.0])).tolist() == [0.0]


def test_distances_that_differ_by_rounding_alone_are_equal() -> None:
    tenths = np.array([[0.1 * number, 1 - 0.1 * number] for number in range(11)])
    assert len(set(crowding(tenths, np.ptp(tenths, axis=0)))) == 2
