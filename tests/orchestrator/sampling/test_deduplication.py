from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sampling import deduplication as unseen
from orchestrator.sampling.deduplication import Deduplicator
from orchestrator.testing.sampler_contract import FINITE
from search_spaces import Choice, Condition, Float, Int, SearchSpace


def test_an_inactive_value_does_not_make_a_configuration_new() -> None:
    space = SearchSpace({"a": Int(1, 2), "b": Int(1, 2)}, {"b": Condition.parse("a >= 2")})
    rest = Deduplicator(space)
    assert rest.add(rest.key({"a": 1, "b": 2}))
    assert not rest.add(rest.key({"a": 1}))


@pytest.mark.slow
@pytest.mark.parametrize("most_listed", [0, 100_000])
def test_draws_run_through_a_finite_space_exactly_listed_or_not(monkeypatch, most_listed) -> None:
    monkeypatch.setattr(unseen, "MAX_LISTED", most_listed)
    monkeypatch.setattr(unseen, "_MAX_DRAWS", 5)
    rest, rng = Deduplicator(FINITE), Random(0)
    while (params := rest.draw(rng)) is not None:
        assert rest.add(rest.key(params))
    assert rest.exhausted
    assert rest.seen == FINITE.size


def test_a_drawn_configuration_is_not_marked() -> None:
    rest = Deduplicator(SearchSpace({"a": Choice((1,))}))
    assert rest.draw(Random(0)) == rest.draw(Random(1)) == {"a": 1}


def test_a_huge_finite_space_is_not_listed() -> None:
    rest = Deduplicator(SearchSpace({name: Int(1, 10**9) for name in "abcde"}))
    assert rest.draw(Random(0)) is not None
    assert not rest.exhausted


@given(st.integers(0, 2**32))
def test_draws_depend_on_the_generator_alone(seed) -> None:
    rest = Deduplicator(SearchSpace({"a": Float(0.0, 1.0)}))
    assert rest.draw(Random(seed)) == rest.draw(Random(seed))
