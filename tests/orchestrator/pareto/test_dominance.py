import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.pareto.dominance import hypervolume, non_dominated, ranks, reference_point

# Few distinct numbers, so that ties, duplicates, NaN and infinities meet in most examples.
awkward = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, math.nan, math.inf, -math.inf])


def matrices(elements, least=0):
    shapes = st.tuples(st.integers(least, 12), st.integers(1, 4))
    return hnp.arrays(np.float64, shapes, elements=elements)


def dominates(a, b) -> bool:
    return bool((a <= b).all() and (a < b).any())


def by_definition(losses) -> list[bool]:
    return [
        not np.isnan(row).any() and not any(dominates(other, row) for other in losses)
        for row in losses
    ]


@given(matrices(awkward))
def test_the_front_is_what_no_other_row_dominates(losses) -> None:
    assert non_dominated(losses).tolist() == by_definition(losses)


@given(matrices(st.floats(-1e6, 1e6)))
def test_the_front_of_ordinary_numbers_is_by_definition_too(losses) -> None:
    assert non_dominated(losses).tolist() == by_definition(losses)


def test_ties_are_all_on_the_front() -> None:
    assert non_dominated(np.array([[1.0, 2], [1, 2], [2, 2]])).tolist() == [True, True, False]


def test_a_row_with_nan_is_not_on_the_front_and_hides_none() -> None:
    losses = np.array([[np.nan, 0.0], [1, 1], [0, np.nan], [2, 2]])
    assert non_dominated(losses).tolist() == [False, True, False, False]


@pytest.mark.parametrize("columns", [1, 3])
def test_no_rows_have_no_front(columns) -> None:
    assert non_dominated(np.empty((0, columns))).shape == (0,)
    assert ranks(np.empty((0, columns))).shape == (0,)
    assert hypervolume(np.empty((0, columns)), np.ones(columns)) == 0.0


def test_one_dimensional_losses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(trials, objectives\)"):
        non_dominated(np.ones(3))


@pytest.mark.slow
@given(matrices(awkward))
def test_ranks_peel_fronts_off_one_by_one(losses) -> None:
    rank, left = ranks(losses), np.ones(len(losses), dtype=bool)
    known = ~np.isnan(losses).any(axis=1)
    for level in range(len(losses)):
        remaining = np.where(left[:, None], losses, np.nan)
        front = non_dominated(remaining)
        assert (rank[front] == level).all()
        left &= ~front
        if not front.any():
            assert (rank[known] < level).all()
            assert (rank[~known] == level).all()
            break


@pytest.mark.slow
@given(matrices(st.integers(0, 4).map(float)))
def test_hypervolume_counts_the_dominated_unit_cubes(losses) -> None:
    m = losses.shape[1]
    cells = np.stack(np.meshgrid(*[np.arange(4)] * m, indexing="ij"), -1).reshape(-1, m)
    covered = [any((row <= cell).all() for row in losses) for cell in cells]
    assert hypervolume(losses, np.full(m, 4.0)) == pytest.approx(sum(covered))


@given(matrices(awkward))
def test_rows_with_nan_add_no_volume(losses) -> None:
    known = losses[~np.isnan(losses).any(axis=1)]
    reference = np.full(losses.shape[1], 2.5)
    assert hypervolume(losses, reference) == hypervolume(known, reference)


@pytest.mark.parametrize("reference", [[1.0], [1.0, math.nan], [1.0, 1.0, 1.0]])
def test_a_reference_of_another_shape_or_with_nan_is_refused(reference) -> None:
    with pytest.raises(ValueError, match="needs 2 numbers"):
        hypervolume(np.ones((1, 2)), np.array(reference))


@given(matrices(st.floats(-1e6, 1e6), least=1))
def test_every_row_counts_at_the_default_reference_point(losses) -> None:
    reference = reference_point(losses)
    assert (losses < reference).all()
    assert np.isfinite(reference).all()


def test_the_reference_point_lies_a_tenth_of_the_range_behind_the_worst() -> None:
    losses = np.array([[0.0, 5, 0], [10, 5, 0], [np.inf, np.nan, -np.inf]])
    assert reference_point(losses) == pytest.approx([11, 5.5, 0.1])


@pytest.mark.parametrize("losses", [np.empty((0, 2)), np.array([[1.0, np.inf]])])
def test_nothing_finite_has_no_reference_point(losses) -> None:
    with pytest.raises(ValueError, match="at least one finite"):
        reference_point(losses)
