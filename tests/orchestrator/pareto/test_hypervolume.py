"""The growth of the front, against the slow definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.pareto.dominance import hypervolume
from orchestrator.pareto.hypervolume import complete_in_order, hypervolume_history, losses_of
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
    assert hypervolume_history(losses, reference) == pytest.approx(slow)


@given(hnp.arrays(np.float64, (8, 2), elements=st.floats(0, 1)))
def test_the_history_never_falls(losses):
    assert (np.diff(hypervolume_history(losses, np.ones(2))) >= 0).all()


def test_a_trial_that_breaks_a_constraint_or_lacks_a_value_adds_nothing():
    trials = [trial(0, accuracy=0.9, bytes=300.0), trial(1, accuracy=0.8), trial(2, bytes=1.0)]
    losses = losses_of(trials, GOALS, [Constraint.parse("bytes <= 200")])
    assert np.isnan(losses).all()
    assert losses_of([trial(3, accuracy=0.5, bytes=9.0)], GOALS, []).tolist() == [[-0.5, 9.0]]


def test_no_trials_have_an_empty_history():
    assert complete_in_order([]) == []
    assert hypervolume_history(losses_of([], GOALS, []), np.ones(2)).shape == (0,)
