"""What the reuse judge concludes from its numbers."""

import pytest

from orchestrator.analysis.reuse_verdict import Thresholds, layer_tests, network_test, verdict


def test_retention_is_the_share_of_what_the_targets_kernels_gain() -> None:
    found = network_test([0.8, 0.8], [0.5, 0.5], [0.9, 0.9], Thresholds(network=0.9))
    assert found.retention == pytest.approx(0.75)
    assert not found.reusable


def test_a_significant_gain_over_scratch_is_enough() -> None:
    found = network_test([0.70, 0.72, 0.71], [0.50, 0.51, 0.52], [0.9] * 3, Thresholds())
    assert found.retention is not None
    assert found.retention < 0.9
    assert found.reusable


def test_without_a_gain_of_the_targets_kernels_there_is_no_retention() -> None:
    found = network_test([0.6], [0.7], [0.65], Thresholds())
    assert (found.retention, found.reusable, found.p_scratch) == (None, False, None)


def test_a_layer_works_if_it_loses_no_more_than_the_limit() -> None:
    found = layer_tests({"a": [0.89], "b": [0.88]}, [0.9], Thresholds(layer=0.01))
    assert (found["a"].works, found["b"].works) == (True, False)
    assert found["b"].drop == pytest.approx(0.02)


def test_p_values_are_corrected_for_the_number_of_layers() -> None:
    without, one = [0.90, 0.91, 0.92], [0.80, 0.83, 0.81]
    alone = layer_tests({"a": one}, without, Thresholds())["a"].p
    both = layer_tests({"a": one, "b": one}, without, Thresholds())["a"].p
    assert alone is not None
    assert both == pytest.approx(2 * alone)


@pytest.mark.parametrize(
    ("held", "told"),
    [((1, 1, 1), "freeze"), ((1, 0, 1), "tune"), ((0, 1, 1), "tune"), ((0, 1, 0), "reinitialize")],
)
def test_the_three_conditions_make_the_verdict(held: tuple[int, int, int], told: str) -> None:
    network, works, close = map(bool, held)
    assert verdict(network=network, works=works, close=close) == told
