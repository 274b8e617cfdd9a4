"""What the reuse judge concludes from its numbers."""

import pytest

from orchestrator.analysis.reuse_verdict import (
    ARMS,
    NetworkTest,
    Thresholds,
    layer_tests,
    network_test,
    verdict,
)


def judged(limits: Thresholds | None = None, **arms: list[float]) -> NetworkTest:
    """Judge arms; all that are not given are at chance."""
    return network_test({**{name: [0.1, 0.1] for name in ARMS}, **arms}, limits or Thresholds())


def test_retention_is_the_share_of_what_the_targets_frozen_kernels_gain_over_random_ones() -> None:
    found = judged(reuse=[0.8, 0.8], random=[0.5, 0.5], own=[0.9, 0.9], scratch=[0.7, 0.7])
    assert found.retention == pytest.approx(0.75)
    assert found.retention_scratch == pytest.approx(0.5)
    assert not found.reusable


def test_a_network_that_trains_everything_does_not_lower_the_retention_of_frozen_ones() -> None:
    frozen = {"reuse": [0.5, 0.5], "random": [0.2, 0.2], "own": [0.5, 0.6]}
    low, high = (judged(**frozen, scratch=[x, x]) for x in (0.1, 0.9))
    assert low.retention == high.retention
    assert high.retention_scratch is None


def test_a_significant_gain_over_scratch_is_enough() -> None:
    gained = {"own": [0.9] * 3, "random": [0.5] * 3, "scratch": [0.50, 0.51, 0.52]}
    better, same = [0.70, 0.72, 0.71], [0.50, 0.50, 0.53]
    assert judged(**gained, tuned=better, reuse=[0.4] * 3).reusable
    assert judged(**gained, tuned=same, reuse=better).reusable
    assert not judged(**gained, tuned=same, reuse=same).reusable


def test_kernels_that_serve_better_than_the_targets_own_are_reusable_without_a_retention() -> None:
    worse = {"own": [0.6], "random": [0.7], "tuned": [0.5], "scratch": [0.5]}
    found = judged(**worse, reuse=[0.8])
    assert (found.retention, found.reusable, found.p_scratch) == (None, True, None)
    assert not judged(**worse, reuse=[0.65]).reusable


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


def test_a_layer_that_worked_while_it_was_trained_is_not_frozen() -> None:
    assert verdict(network=True, works=True, close=True, may_freeze=False) == "tune"
    assert verdict(network=True, works=False, close=False, may_freeze=False) == "reinitialize"


def test_kernels_that_help_in_every_seed_are_not_drawn_anew() -> None:
    assert judged(tuned=[0.4, 0.21], scratch=[0.2, 0.2]).helps
    assert not judged(tuned=[0.6, 0.2], scratch=[0.2, 0.2]).helps
    assert not judged(tuned=[0.205, 0.205], scratch=[0.2, 0.2]).helps
    assert verdict(network=False, works=False, close=False, helps=True) == "tune"
    assert verdict(network=True, works=True, close=True, helps=True) == "freeze"
