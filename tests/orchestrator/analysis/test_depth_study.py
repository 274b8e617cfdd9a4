"""A full network against cut ones: shares of time, and tests against hand-made numbers."""

import pytest
from scipy import stats

from orchestrator.analysis.depth_study import Arm, compare_arms


def _arm(label: str, accuracies: tuple[float, ...], seconds: float = 10.0) -> Arm:
    return Arm(label, label, accuracies, (seconds,) * len(accuracies), 1, 1)


FULL = _arm("full", (0.80, 0.81, 0.82, 0.81, 0.80))


def test_time_is_saved_as_a_share_of_the_full_networks_mean() -> None:
    (found,) = compare_arms(FULL, [_arm("cut", (0.80, 0.81), seconds=4.0)], margin=0.02)
    assert found.saved == pytest.approx(0.6)
    assert found.difference == pytest.approx(0.805 - 0.808)


def test_the_larger_of_two_one_sided_tests_counts() -> None:
    ours = (0.79, 0.80, 0.80, 0.81, 0.79)
    (found,) = compare_arms(FULL, [_arm("cut", ours)], margin=0.02)
    # By the confidence interval: equivalent at 5 % where the 90 % interval is within the margin.
    interval = stats.ttest_ind(ours, FULL.accuracies, equal_var=False).confidence_interval(0.90)
    assert (found.p_equivalent <= 0.05) == (interval.low > -0.02 and interval.high < 0.02)
    assert compare_arms(FULL, [_arm("cut", ours)], margin=0.05)[0].verdict(0.05) == "equivalent"


def test_a_network_that_is_worse_is_called_so_and_two_seeds_show_little() -> None:
    worse, few = compare_arms(
        FULL, [_arm("worse", (0.70, 0.71, 0.69)), _arm("few", (0.75, 0.86))], margin=0.02
    )
    assert worse.verdict(0.05) == "worse"
    assert few.verdict(0.05) == "not shown"
    # Complete separation of 3 from 5: two of the 56 orders.
    assert worse.p_mann_whitney == pytest.approx(2 / 56, abs=0.02)


def test_one_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="cut was trained 1 times"):
        compare_arms(FULL, [_arm("cut", (0.8,))], margin=0.02)
