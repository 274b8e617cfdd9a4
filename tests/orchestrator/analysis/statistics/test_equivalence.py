import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from orchestrator.analysis.statistics.equivalence import (
    PairedCounts,
    difference_interval,
    equivalent,
    not_worse,
    seeds_not_worse,
)


@st.composite
def counts(draw) -> PairedCounts:
    images = draw(st.integers(1, 400))
    gained = draw(st.integers(0, images))
    return PairedCounts(images, gained, draw(st.integers(0, images - gained)))


margins = st.floats(0.005, 0.5)


def test_the_published_example_of_the_score_test_comes_out() -> None:
    # Tango 1998: 44 pairs of soft contact lens treatments, one discordant, margin 0.1.
    published = PairedCounts(44, gained=0, lost=1)
    assert stats.norm.isf(not_worse(published, 0.1)) == pytest.approx(1.709, abs=5e-4)
    assert not_worse(published, 0.1) == pytest.approx(0.044, abs=5e-4)


def test_without_a_discordant_image_the_score_is_known_in_closed_form() -> None:
    # z = sqrt(n m / (1 - m)), and the ends of the interval are -+ k**2 / (n + k**2).
    same = PairedCounts(270, 0, 0)
    assert not_worse(same, 0.02) == pytest.approx(stats.norm.sf(math.sqrt(270 * 0.02 / 0.98)))
    k2 = stats.norm.isf(0.025) ** 2
    interval = difference_interval(same)
    assert interval.high == pytest.approx(k2 / (270 + k2))
    assert interval.low == pytest.approx(-interval.high)


def test_few_images_prove_nothing_even_where_all_answers_agree() -> None:
    assert not_worse(PairedCounts(1, 0, 0), 0.02) > 0.4
    assert not_worse(PairedCounts(20, 0, 0), 0.02) > 0.2
    assert equivalent(PairedCounts(20, 0, 0), 0.02) > 0.2


@given(counts(), margins)
def test_a_larger_margin_or_fewer_losses_are_never_less_evidence(
    found: PairedCounts, margin: float
) -> None:
    p = not_worse(found, margin)
    assert 0 <= p <= 1
    assert not_worse(found, min(2 * margin, 0.99)) <= p + 1e-12
    if found.lost:
        assert not_worse(PairedCounts(found.images, found.gained, found.lost - 1), margin) <= p


@pytest.mark.slow
@given(counts(), margins)
def test_equivalence_needs_both_sides_in_either_order(found: PairedCounts, margin: float) -> None:
    mirrored = PairedCounts(found.images, found.lost, found.gained)
    assert equivalent(found, margin) == equivalent(mirrored, margin)
    assert equivalent(found, margin) >= not_worse(found, margin)


@pytest.mark.slow
@given(counts(), st.floats(0.5, 0.99))
def test_the_interval_holds_the_difference_and_turns_with_the_sides(
    found: PairedCounts, level: float
) -> None:
    interval = difference_interval(found, level)
    assert -1 <= interval.low <= found.difference <= interval.high <= 1
    mirrored = difference_interval(PairedCounts(found.images, found.lost, found.gained), level)
    assert mirrored.low == pytest.approx(-interval.high, abs=1e-9)


@given(counts(), margins, st.floats(0.01, 0.4))
def test_interval_and_test_come_to_the_same_verdict(
    found: PairedCounts, margin: float, alpha: float
) -> None:
    low = difference_interval(found, 1 - 2 * alpha).low
    assume(abs(low + margin) > 1e-6)
    assert (not_worse(found, margin) < alpha) == (low > -margin)


@pytest.mark.slow
def test_a_network_that_is_worse_by_the_margin_passes_as_rarely_as_stated() -> None:
    rng = np.random.default_rng(0)
    n, margin, alpha = 500, 0.03, 0.05
    # True difference -margin: 5 % lost, 2 % gained.
    drawn = rng.multinomial(n, [0.02, 0.05, 0.93], size=4_000)
    passed = np.mean([not_worse(PairedCounts(n, g, b), margin) < alpha for g, b, _ in drawn])
    assert passed == pytest.approx(alpha, abs=0.012)


def test_counts_are_those_of_the_same_images_and_means_over_seeds() -> None:
    candidate = np.array([[True, False, True, False], [True, True, False, False]])
    reference = np.array([[True, True, False, False], [False, True, True, True]])
    found = PairedCounts.of(candidate, reference)
    assert (found.images, found.gained, found.lost) == (4, 1.0, 1.5)
    assert found.difference == pytest.approx(candidate.mean() - reference.mean())
    single = PairedCounts.of(candidate[0], reference[0])
    assert (single.gained, single.lost) == (1, 1)


def test_repeated_seeds_lend_no_false_precision() -> None:
    candidate, reference = np.array([True] * 90 + [False] * 10), np.full(100, fill_value=True)
    once = PairedCounts.of(candidate, reference)
    thrice = PairedCounts.of(np.tile(candidate, (3, 1)), np.tile(reference, (3, 1)))
    assert not_worse(once, 0.2) == not_worse(thrice, 0.2)


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    for test in (not_worse, equivalent):
        with pytest.raises(ValueError, match=r"margin is .*above 0 and below 1"):
            test(PairedCounts(10, 0, 0), margin)


def test_empty_and_unpaired_outcomes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"candidate .*at least 1 image"):
        PairedCounts.of([], [])
    with pytest.raises(ValueError, match="same images and seeds"):
        PairedCounts.of([True], [True, False])


def test_the_test_over_seeds_is_a_one_sided_t_test_against_the_margin() -> None:
    differences = [-0.01, 0.0, 0.01, 0.02]
    expected = stats.ttest_1samp(differences, -0.02, alternative="greater").pvalue
    assert seeds_not_worse(differences, 0.02, resolution=0.001) == pytest.approx(expected)


def test_seeds_that_agree_by_chance_are_given_the_spread_of_one_image() -> None:
    p = seeds_not_worse([0.0, 0.0], 0.02, resolution=0.01)
    assert p == pytest.approx(stats.t.sf(0.02 / (0.01 / math.sqrt(2)), 1))
    assert 0.1 < p < 0.11


@pytest.mark.parametrize("given_values", [[], [0.1], [0.1, math.nan]])
def test_too_few_seeds_or_nan_are_refused(given_values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"differences (has|holds)"):
        seeds_not_worse(given_values, 0.02, resolution=0.01)
