"""How near a search came to a front that is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orchestrator.pareto.dominance import non_dominated
from orchestrator.pareto.indicators import KnownFront, log_difference, mean_difference

NUMBERS = st.integers(-50, 50).map(float)
TABLES = st.integers(2, 3).flatmap(
    lambda m: st.integers(2, 12).flatmap(lambda n: arrays(np.float64, (n, m), elements=NUMBERS))
)


@given(TABLES)
def test_the_front_lacks_nothing_of_itself(table: np.ndarray) -> None:
    front = KnownFront.of(table)
    assert front.shares(table)[-1] == pytest.approx(1.0)
    assert front.epsilon(table) == pytest.approx(0.0, abs=1e-9)


@given(TABLES)
def test_a_front_that_finds_more_is_no_farther_away(table: np.ndarray) -> None:
    front = KnownFront.of(table)
    shares = front.shares(table)
    assert (np.diff(shares) >= -1e-12).all()
    assert ((shares >= 0) & (shares <= 1)).all()
    distances = [front.epsilon(table[: n + 1]) for n in range(len(table))]
    assert (np.diff(distances) <= 1e-9).all()
    assert min(distances) >= -1e-9


@given(TABLES, st.integers(1, 9), st.integers(-9, 9))
def test_units_do_not_matter(table: np.ndarray, factor: int, shift: int) -> None:
    half = table[: len(table) // 2]
    here, there = KnownFront.of(table), KnownFront.of(table * factor + shift)
    found = half * factor + shift
    if (np.ptp(here.losses, axis=0) > 0).all():
        assert there.shares(found) == pytest.approx(here.shares(half))
        assert there.epsilon(found) == pytest.approx(here.epsilon(half))


def test_the_indicators_are_those_of_a_hand_computed_example() -> None:
    # A front of three; the corner is a tenth of its range behind (4, 10).
    front = KnownFront.of(np.array([[0.0, 10.0], [1.0, 4.0], [4.0, 0.0], [4.0, 10.0]]))
    assert len(front.losses) == 3
    assert front.scale.corner == pytest.approx([4.4, 11.0])
    # In the scaled box: strips of 0.1, 0.6 and 0.4 in height.
    whole = 1.1 * 0.1 + 0.85 * 0.6 + 0.1 * 0.4
    assert front.volume == pytest.approx(whole / 1.21)
    found = np.array([[1.0, 4.0]])
    assert front.shares(found).tolist() == pytest.approx([0.85 * 0.7 / whole])
    # The last member of the front has less by 0.4 of the range, in the second column.
    assert front.epsilon(found) == pytest.approx(0.4)


def test_rows_that_lack_a_value_add_nothing() -> None:
    front = KnownFront.of(np.array([[0.0, 1.0], [1.0, 0.0], [np.nan, -5.0]]))
    assert non_dominated(front.losses).all()
    nothing = np.array([[np.nan, 0.0]])
    assert front.shares(nothing).tolist() == [0.0]
    assert front.epsilon(nothing) == np.inf
    with pytest.raises(ValueError, match="no front"):
        KnownFront.of(nothing)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.floats(0.5, 20.0))
def test_the_mean_difference_is_the_area_under_the_curve(
    raised: list[float], until: float
) -> None:
    shares = np.sort(np.array(raised))
    moments = np.arange(1.0, 1 + len(shares))
    times = (np.arange(20_000) + 0.5) * until / 20_000
    had = np.append(0.0, shares)[np.searchsorted(moments, times, side="right")]
    assert mean_difference(moments, shares, until) == pytest.approx(1 - had.mean(), abs=1e-3)


def test_nothing_found_lacks_everything() -> None:
    empty = np.array([])
    assert mean_difference(empty, empty, 10.0) == 1.0
    assert log_difference(0.0) == 0.0
