import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.pareto.dominance import non_dominated
from orchestrator.pareto.knee import knee

# Few distinct numbers, so that ties, duplicates, NaN and infinities meet in most examples.
awkward = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, math.nan, math.inf, -math.inf])
matrices = hnp.arrays(
    np.float64, st.tuples(st.integers(0, 12), st.integers(1, 4)), elements=awkward
)


def test_the_knee_is_nearest_to_the_ideal_of_the_front_itself() -> None:
    losses = np.array([[0.0, 100], [0.2, 30], [1, 0], [50, 900]])
    assert knee(losses) == 1


def test_of_equal_knees_the_first_is_chosen() -> None:
    assert knee(np.array([[2.0, 2], [1, 0], [0, 1], [1, 0]])) == 1


@given(matrices, st.integers(-3, 3))
def test_the_knee_is_on_the_front_and_does_not_depend_on_units(losses, power) -> None:
    front = non_dominated(losses) & np.isfinite(losses).all(axis=1)
    if not front.any():
        with pytest.raises(ValueError, match="no knee"):
            knee(losses)
        return
    assert front[knee(losses)]
    assert knee(losses * 2.0**power) == knee(losses)
