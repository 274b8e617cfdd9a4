"""A prior of one parameter: tried first near its center, fading, excluding nothing."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts import Sampler
from orchestrator.objectives import Direction, Objective
from orchestrator.sampling import OPTUNA_KINDS, build_sampler
from orchestrator.sampling.value_prior import ValuePrior
from orchestrator.trials import Trial, TrialState
from search_spaces import Choice, Float, Int, SearchSpace

SPACE = SearchSpace({"rate": Float(0.0, 1.0), "depth": Int(1, 9)})
GOALS = (Objective("accuracy", Direction.MAXIMIZE),)


def sampler(prior: ValuePrior | None, kind: str = "random", seed: int = 0) -> Sampler:
    return build_sampler(kind, SPACE, GOALS, (), seed, prior=prior)


def depths(of: Sampler, count: int) -> list[object]:
    found = []
    for number in range(count):
        suggestion = of.suggest()
        assert suggestion is not None
        trial = Trial("sweep", number, suggestion.params, 0, TrialState.COMPLETE)
        trial.values["accuracy"] = float(suggestion.params["rate"])
        of.observe(trial)
        found.append(suggestion.params["depth"])
    return found


# A Gaussian process takes a second a proposal; it is asked in the same way.
@pytest.mark.parametrize("kind", [kind for kind in OPTUNA_KINDS if kind != "gp"])
def test_every_sampler_tries_depths_near_the_center_first(kind: str) -> None:
    near = depths(sampler(ValuePrior("depth", center=7, scale=0.3), kind), 8)
    assert Counter(near)[7] >= 4
    assert Counter(depths(sampler(None, kind), 8))[7] < 4


def test_the_prior_fades_and_excludes_nothing() -> None:
    found = depths(sampler(ValuePrior("depth", center=1, scale=0.01, patience=5)), 150)
    assert found[0] == 1
    assert set(found) == set(range(1, 10))
    assert Counter(found[75:])[1] < 38 < Counter(found[:8])[1] * 8


def test_a_rebuilt_sampler_goes_on_as_the_live_one() -> None:
    prior = ValuePrior("depth", center=4)
    live = sampler(prior)
    trials = []
    for number in range(5):
        suggestion = live.suggest()
        assert suggestion is not None
        trial = Trial("sweep", number, suggestion.params, 0, TrialState.COMPLETE)
        trial.values["accuracy"] = 0.5
        live.observe(trial)
        trials.append(trial)
    rebuilt = sampler(prior)
    for trial in trials:
        rebuilt.observe(trial)
    one, other = live.suggest(), rebuilt.suggest()
    assert one is not None
    assert other is not None
    assert one.params == other.params


@given(
    st.integers(1, 20), st.floats(0.1, 10), st.lists(st.integers(1, 20), min_size=1, unique=True)
)
def test_probabilities_sum_to_one_and_fall_with_the_distance(
    center: int, scale: float, values: list[int]
) -> None:
    found = ValuePrior("depth", center, scale).probabilities(Choice(tuple(values)))
    assert sum(found.values()) == pytest.approx(1)
    by_distance = sorted(values, key=lambda value: abs(value - center))
    assert [found[v] for v in by_distance] == sorted(found.values(), reverse=True)
