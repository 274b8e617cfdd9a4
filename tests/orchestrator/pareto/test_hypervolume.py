"""The growth of the front, against the slow definition."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.pareto.dominance import hypervolume
from orchestrator.pareto.hypervolume import FIRST_TRIALS, HypervolumeScale, complete_in_order
from orchestrator.pareto.losses import feasible_losses
from orchestrator.trials import Trial, TrialState

GOALS = (Objective("accuracy", Direction.MAXIMIZE), Objective("bytes", Direction.MINIMIZE))


def trial(number, **values):
    return Trial("s", number, {}, 0, TrialState.COMPLETE, values=values)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 12), st.just(3)),
        elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.0, np.nan]),
    )
)
def test_the_history_is_the_hypervolume_of_every_beginning(losses):
    reference = np.ones(3)
    slow = []
    for count in range(1, len(losses) + 1):
        rows = losses[:count]
        slow.append(hypervolume(rows[~np.isnan(rows).any(axis=1)], reference))
    assert HypervolumeScale(reference).history(losses) == pytest.approx(slow)


# Measured, the second front is smaller than the first one, by rounding.
@example(np.array([[1.0, 0.0], [7.75199376e-208, 1.24346980e-001], [0.0, 2.86e-1], [0.0, 0.0]]))
@given(hnp.arrays(np.float64, (8, 2), elements=st.floats(0, 1)))
def test_the_history_never_falls(losses):
    assert (np.diff(HypervolumeScale(np.ones(2)).history(losses)) >= 0).all()


def test_a_trial_that_breaks_a_constraint_or_lacks_a_value_adds_nothing():
    trials = [trial(0, accuracy=0.9, bytes=300.0), trial(1, accuracy=0.8), trial(2, bytes=1.0)]
    losses = feasible_losses(trials, GOALS, [Constraint.parse("bytes <= 200")])
    assert np.isnan(losses).all()
    assert feasible_losses([trial(3, accuracy=0.5, bytes=9.0)], GOALS, []).tolist() == [
        [-0.5, 9.0]
    ]


def test_no_trials_have_an_empty_history():
    assert complete_in_order([]) == []
    assert HypervolumeScale(np.ones(2)).history(feasible_losses([], GOALS, [])).shape == (0,)


def test_the_scale_of_a_sweep_lies_behind_its_first_trials_and_no_later_one_moves_it():
    first = [trial(n, accuracy=0.5 + n / 100, bytes=100.0 + n) for n in range(FIRST_TRIALS)]
    lacking = trial(90, accuracy=0.1)
    later = [trial(FIRST_TRIALS + n, accuracy=0.01, bytes=9e9) for n in range(3)]
    assert HypervolumeScale.of_sweep([lacking], GOALS) is None
    assert HypervolumeScale.of_sweep(first[1:], GOALS, least=FIRST_TRIALS) is None
    placed = HypervolumeScale.of_sweep(first, GOALS)
    again = HypervolumeScale.of_sweep([*later, lacking, *first], GOALS)
    assert placed is not None
    assert again is not None
    assert (
        placed.point(GOALS)
        == again.point(GOALS)
        == pytest.approx({"accuracy": 0.5 - 0.007, "bytes": 107.7})
    )
    assert (
        HypervolumeScale.at(placed.point(GOALS), GOALS).corner.tolist() == placed.corner.tolist()
    )


def test_a_scale_with_a_best_measures_shares_of_the_box():
    losses = np.array([[0.0, 4.0], [2.0, 0.0]])
    spanning = HypervolumeScale.spanning(losses)
    share = hypervolume(losses, spanning.corner) / np.prod(spanning.corner - losses.min(axis=0))
    assert spanning.volume(losses) == pytest.approx(share)
    same = HypervolumeScale.within(np.array([[1.0, 5.0], [1.0, 7.0]]), 0.05)
    assert same.corner.tolist() == pytest.approx([2.05, 7.1])
