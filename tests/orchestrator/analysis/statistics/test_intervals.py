import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.statistics.intervals import accuracy_interval, bootstrap_interval


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


def test_a_bootstrap_of_many_numbers_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = bootstrap_interval(values, seed=1, resamples=2_000)
    half = 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.05)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05)
    assert found == bootstrap_interval(values, seed=1, resamples=2_000)


def test_pairs_stay_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0.0, 10.0, 50)
    first, second = hard + rng.normal(1.0, 0.1, 50), hard
    found = bootstrap_interval(first, second, seed=0, resamples=2_000)
    assert 0.9 < found.low < found.high < 1.1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "at least 2 numbers"),
        ([0.5], "at least 2 numbers"),
        ([0.5, math.nan], "NaN"),
        ([0.5, 0.5], "all 2 values are 0.5"),
    ],
)
def test_what_a_bootstrap_says_nothing_about_is_refused(values, told) -> None:
    with pytest.raises(ValueError, match=told):
        bootstrap_interval(values, seed=0)


def test_unpaired_sides_and_wrong_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs are needed"):
        bootstrap_interval([1.0, 2.0], [1.0, 2.0, 3.0], seed=0)
    with pytest.raises(ValueError, match="level is 95"):
        accuracy_interval(1, 2, level=95)
