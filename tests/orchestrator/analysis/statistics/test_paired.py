from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.analysis.statistics.paired import mcnemar, paired_t, wilcoxon


def pair(gained: int, lost: int, both: int = 0, neither: int = 0):
    first = [True] * gained + [False] * lost + [True] * both + [False] * neither
    second = [False] * gained + [True] * lost + [True] * both + [False] * neither
    return np.array(first), np.array(second)


def test_mcnemar_is_the_sign_test_of_the_images_that_tell_two_networks_apart() -> None:
    # By hand: 2 * (C(10,0) + C(10,1) + C(10,2)) / 2**10.
    assert mcnemar(*pair(8, 2, both=90)) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    expected = 2 * sum(comb(17, k) for k in range(5)) / 2**17
    assert mcnemar(*pair(4, 13)) == pytest.approx(expected) == pytest.approx(0.0490417)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 9), st.integers(0, 9))
def test_mcnemar_depends_neither_on_the_order_nor_on_images_on_which_both_agree(
    gained: int, lost: int, both: int, neither: int
) -> None:
    if gained + lost + both + neither == 0:
        return
    first, second = pair(gained, lost, both, neither)
    assert mcnemar(first, second) == mcnemar(second, first)
    if gained + lost:
        assert mcnemar(first, second) == mcnemar(*pair(gained, lost))


def test_without_an_image_that_tells_them_apart_nothing_is_significant() -> None:
    assert mcnemar(*pair(0, 0, both=5)) == 1.0
    assert mcnemar([True], [True]) == 1.0
    assert mcnemar([True], [False]) == 1.0


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ([], [], "at least 1 image"),
        ([True], [True, False], "same images"),
        ([1, 0], [1, 1], "predictions == labels"),
        ([float("nan")], [1.0], "outcomes are bools"),
        ([[True]], [[True]], "one seed at a time"),
    ],
)
def test_what_are_no_paired_outcomes_is_refused_in_a_sentence(first, second, told) -> None:
    with pytest.raises(ValueError, match=told):
        mcnemar(first, second)


def test_paired_t_is_the_t_test_of_the_differences() -> None:
    # Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t = 2 sqrt(3) with 2 degrees of
    # freedom, of which the two-sided tail is 1 - t / sqrt(t**2 + 2).
    t = 2 * 3**0.5
    expected = 1 - t / (t * t + 2) ** 0.5
    assert paired_t([3.0, 5.0, 7.0], [2.0, 3.0, 4.0]) == pytest.approx(expected)


def test_wilcoxon_counts_the_signs_of_all_ranks() -> None:
    # Six differences of one sign: two of the 2**6 ways to give signs are as extreme.
    assert wilcoxon([1.0, 2, 3, 4, 5, 6], [0.0] * 6) == pytest.approx(2 / 64)
    # Five: even the most extreme result is not significant.
    assert wilcoxon([1.0, 2, 3, 4, 5], [0.0] * 5) == pytest.approx(2 / 32)


values = hnp.arrays(np.float64, 8, elements=st.integers(-50, 50).map(float), unique=True)


@settings(max_examples=25)  # a signed-rank test with ties takes 0.1 s
@given(values, values)
def test_both_tests_over_seeds_are_symmetric_and_give_probabilities(first, second) -> None:
    for test in (paired_t, wilcoxon):
        if test is paired_t and np.ptp(first - second) == 0 and (first != second).any():
            continue
        assert 0 <= test(first, second) <= 1
        assert test(first, second) == pytest.approx(test(second, first))


@pytest.mark.parametrize("test", [paired_t, wilcoxon])
def test_seeds_that_all_agree_show_no_difference(test) -> None:
    assert test([0.9, 0.8, 0.7], [0.9, 0.8, 0.7]) == 1.0


def test_a_t_test_without_a_spread_is_refused() -> None:
    with pytest.raises(ValueError, match=r"all 3 differences are 0\.1.*more seeds"):
        paired_t([0.3, 0.2, 0.5], [0.2, 0.1, 0.4])


@pytest.mark.parametrize("test", [paired_t, wilcoxon])
@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ([], [], "at least 2 numbers"),
        ([0.5], [0.4], "at least 2 numbers"),
        ([0.5, float("nan")], [0.4, 0.3], "first holds 1 values that are NaN"),
        ([0.5, 0.4], [float("inf"), 0.3], "second holds 1"),
        ([0.5, 0.4], [0.4, 0.3, 0.2], "pairs are needed"),
    ],
)
def test_what_are_no_pairs_of_numbers_is_refused_in_a_sentence(test, first, second, told) -> None:
    with pytest.raises(ValueError, match=told):
        test(first, second)
