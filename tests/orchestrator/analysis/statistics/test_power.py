"""How likely a comparison is to show what holds."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.analysis.statistics.equivalence import (
    PairedCounts,
    not_worse,
    seeds_not_worse,
)
from orchestrator.analysis.statistics.power import _over_seeds_p, power, tango_p


def test_many_tests_at_once_are_the_tests_of_the_comparison() -> None:
    rng = np.random.default_rng(0)
    gained, lost = rng.integers(0, 9, (2, 50)).astype(float)
    lost[:2], gained[:2] = 0.0, 0.0
    expected = [
        not_worse(PairedCounts(400, g, b), 0.02) for g, b in zip(gained, lost, strict=True)
    ]
    assert tango_p(400, gained, lost, 0.02) == pytest.approx(expected)
    rows = np.round(rng.normal(0, 0.01, (20, 4)), 3)
    over = [seeds_not_worse(row, 0.02, resolution=1 / 400) for row in rows]
    assert _over_seeds_p(rows, 0.02, 1 / 400) == pytest.approx(over)


def test_few_images_and_three_seeds_show_next_to_nothing() -> None:
    assert power(1_000, 3, 8, 0.02) == pytest.approx(0.2, abs=0.03)
    assert power(300, 3, 8, 0.02) < 0.01


def test_more_images_a_wider_margin_and_fewer_candidates_show_more() -> None:
    least = power(1_000, 5, 40, 0.02)
    assert power(3_000, 5, 40, 0.02) > least + 0.3
    assert power(1_000, 5, 40, 0.03) > least + 0.3
    assert power(1_000, 5, 4, 0.02) > least + 0.3


def test_with_one_seed_it_is_that_of_the_score_test() -> None:
    # By the normal approximation: the variance of the difference is the disagreement.
    margin, images = 0.02, 3_000
    error = np.sqrt(0.05 / images)
    expected = stats.norm.sf(stats.norm.isf(0.05 / 8) - margin / error)
    assert power(images, 1, 8, margin) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("changes", [{"images": 0}, {"seeds": 0}, {"margin": 2.0}, {"alpha": 0.0}])
def test_what_is_out_of_range_is_refused(changes) -> None:
    given = {"images": 100, "seeds": 3, "candidates": 8, "margin": 0.02} | changes
    with pytest.raises(ValueError, match=r"needed|need to be"):
        power(**given)
