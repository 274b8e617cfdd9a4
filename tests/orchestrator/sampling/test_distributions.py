from random import Random

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sampling.distributions import ask_params, distribution_of, told_params
from orchestrator.testing.sampler_contract import FINITE
from search_spaces import Choice, Float, Int, SearchSpace

WIDE = SearchSpace(
    {
        "whole": Int(-3, 40, step=7),
        "log_whole": Int(1, 4096, log=True),
        "real": Float(-1.0, 1.0),
        "log_real": Float(1e-6, 1.0, log=True),
        "stepped": Float(0.1, 0.95, step=0.1),
        "constant": Float(0.5, 0.5),
        "mixed": Choice((1, 1.0, True, "1", False, 0)),
    }
)


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


@given(st.sampled_from([WIDE, FINITE]), st.integers(0, 2**32))
def test_a_configuration_told_to_optuna_is_asked_back_exactly(study, space, seed) -> None:
    params = space.sample(Random(seed))
    study.enqueue_trial(told_params(space, params)[0])
    asked = ask_params(study.ask(), space)
    assert repr(asked) == repr(space.canonical(params))


@given(st.sampled_from([WIDE, FINITE]))
def test_what_optuna_asks_has_the_distributions_that_it_is_told(study, space) -> None:
    trial = study.ask()
    numbers, distributions = told_params(space, ask_params(trial, space))
    assert trial.params == numbers
    assert trial.distributions == distributions


@pytest.mark.parametrize("name", WIDE.names)
def test_optuna_sees_as_many_values_as_there_are(name) -> None:
    domain, kind = WIDE.domains[name], distribution_of(WIDE.domains[name])
    if isinstance(kind, optuna.distributions.CategoricalDistribution):
        assert len(kind.choices) == domain.size
    elif isinstance(kind, optuna.distributions.IntDistribution):
        assert kind.high - kind.low + 1 == domain.size
    else:
        assert (kind.low, kind.high) == (domain.low, domain.high)
