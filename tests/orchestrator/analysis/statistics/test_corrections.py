import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.statistics.corrections import holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_holm_is_as_by_hand() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1, and never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_comparison_needs_no_correction() -> None:
    assert holm([0.03]) == pytest.approx([0.03])


@given(p_values)
def test_adjusted_values_lie_between_the_given_and_bonferronis(given_values) -> None:
    adjusted, before = holm(given_values), np.array(given_values)
    assert (adjusted >= before).all()
    assert (adjusted <= np.minimum(before * len(before), 1.0) + 1e-15).all()


@given(p_values, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_is_kept(given_values, random) -> None:
    order = list(range(len(given_values)))
    random.shuffle(order)
    shuffled = holm([given_values[i] for i in order])
    assert shuffled == pytest.approx(holm(given_values)[order])


@given(p_values, st.floats(0.001, 0.5))
def test_it_rejects_what_the_step_down_rule_rejects(given_values, alpha) -> None:
    rejected = set()
    for step, index in enumerate(np.argsort(given_values, kind="stable")):
        if given_values[index] * (len(given_values) - step) > alpha:
            break
        rejected.add(int(index))
    assert set(np.flatnonzero(holm(given_values) <= alpha)) == rejected


@pytest.mark.parametrize(
    ("given_values", "told"),
    [([], "at least 1"), ([0.1, float("nan")], "NaN"), ([1.5], r"lie in \[0, 1\]")],
)
def test_what_are_no_p_values_is_refused(given_values, told) -> None:
    with pytest.raises(ValueError, match=told):
        holm(given_values)
