import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.statistics.intervals import accuracy_interval, mean_interval


def test_wilson_is_as_by_hand() -> None:
    n, p, z = 270, 263 / 270, 1.959963984540054
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = accuracy_interval(263, 270)
    assert (found.low, found.high) == (pytest.approx(middle - half), pytest.approx(middle + half))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_accuracy_and_stays_within_0_and_1(case: tuple[int, int]) -> None:
    correct, images = case
    found = accuracy_interval(correct, images)
    assert 0 <= found.low <= correct / images + 1e-12
    assert correct / images - 1e-12 <= found.high <= 1
    assert found.low < found.high


@pytest.mark.parametrize(("correct", "images"), [(0, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(correct: int, images: int) -> None:
    with pytest.raises(ValueError, match="at least 1 image is needed"):
        accuracy_interval(correct, images)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_over_seeds_holds_the_mean_as_often_as_it_says(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    # Differences of two accuracies over 600 images each, as they are between seeds.
    draws = (
        rng.binomial(600, 0.93, (2_000, seeds)) - rng.binomial(600, 0.95, (2_000, seeds))
    ) / 600
    found = [mean_interval(draw) for draw in draws if np.ptp(draw)]
    held = np.mean([each.low <= -0.02 <= each.high for each in found])
    two_errors = 2 * math.sqrt(0.95 * 0.05 / len(found))
    assert abs(held - 0.95) <= two_errors


def test_it_is_student_s() -> None:
    found = mean_interval([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)  # t(2) at 0.975
    assert (found.low, found.high) == (pytest.approx(2 - half), pytest.approx(2 + half))


def test_pairs_stay_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0.0, 10.0, 50)
    first, second = hard + rng.normal(1.0, 0.1, 50), hard
    found = mean_interval(first, second)
    assert 0.9 < found.low < found.high < 1.1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "at least 2 numbers"),
        ([0.5], "at least 2 numbers"),
        ([0.5, math.nan], "NaN"),
        ([0.5, 0.5], "all 2 values are 0.5"),
        ([0.3 - 0.2, 0.2 - 0.1], "all 2 values are 0.1"),
    ],
)
def test_what_has_no_spread_is_refused(values, told) -> None:
    with pytest.raises(ValueError, match=told):
        mean_interval(values)


def test_unpaired_sides_and_wrong_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs are needed"):
        mean_interval([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="level is 95"):
        accuracy_interval(1, 2, level=95)
