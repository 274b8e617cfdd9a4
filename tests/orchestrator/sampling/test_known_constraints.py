"""Configurations that are known to break a constraint are never proposed."""

from collections.abc import Mapping

import pytest

from orchestrator.constraints import Constraint
from orchestrator.contracts import Sampler
from orchestrator.sampling import SAMPLERS, build_sampler
from orchestrator.sampling import deduplication as unseen
from orchestrator.testing.sampler_contract import (
    OBJECTIVES,
    ROOMY,
    SMALL,
    Loop,
    distinct,
    measured,
    resumed,
)
from orchestrator.trials import Params
from search_spaces import Float, Int, SearchSpace

ACCURATE = Constraint("accuracy", ">=", 0.2)


def sizes(params: Params) -> Mapping[str, float]:
    return {"memory_bytes": float(params["width"]) * float(params.get("bits", 4))}


def at_most(size: float) -> tuple[Constraint, ...]:
    return (Constraint("memory_bytes", "<=", size), ACCURATE)


def build(kind: str, space: SearchSpace, limit: float, seed: int = 1) -> Sampler:
    return build_sampler(kind, space, OBJECTIVES, at_most(limit), seed, sizes)


# One ask of GP takes a second.
QUICK = tuple(kind for kind in SAMPLERS if kind != "gp")


@pytest.mark.slow
@pytest.mark.parametrize("kind", QUICK)
def test_what_may_be_proposed_is_and_nothing_else(kind: str) -> None:
    allowed = [params for params in SMALL.grid() if sizes(params)["memory_bytes"] <= 24]
    sampler = build(kind, SMALL, 24)
    loop = Loop(sampler, in_flight=3).run(100)
    assert distinct(loop) == len(loop.trials) == len(allowed)
    assert all(params in loop.params for params in allowed)
    assert sampler.screened_out == (SMALL.size or 0) - len(allowed)


@pytest.mark.slow
def test_a_gaussian_process_proposes_nothing_that_is_refused() -> None:
    sampler = build("gp", SMALL, 12)
    loop = Loop(sampler).run(4)
    assert sampler.screened_out > 0
    assert all(sizes(params)["memory_bytes"] <= 12 for params in loop.params)


@pytest.mark.parametrize("kind", QUICK)
def test_a_space_without_anything_allowed_is_exhausted(kind: str) -> None:
    sampler = build(kind, SMALL, 1)
    assert sampler.suggest() is None
    assert sampler.screened_out == SMALL.size


@pytest.mark.parametrize("limit", [0.5, 1e-9])
def test_an_endless_space_with_nearly_nothing_allowed_is_given_up(limit: float) -> None:
    space = SearchSpace({"width": Float(0.1, 1000.0)})
    loop = Loop(build("random", space, limit)).run(5)
    assert all(sizes(params)["memory_bytes"] <= limit for params in loop.params)


@pytest.mark.slow
def test_a_space_that_is_too_large_to_list_is_searched_in_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unseen, "MAX_LISTED", 2_000)
    space = SearchSpace({"width": Int(1, 1_000_000)})
    loop = Loop(build("random", space, 8)).run(5)
    assert sorted(params["width"] for params in loop.params) == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", QUICK)
def test_suggestions_follow_from_the_seed_and_the_history(kind: str) -> None:
    first, second = (Loop(build(kind, ROOMY, 60)).run(15) for _ in range(2))
    assert first.params == second.params
    history = first.trials
    again, once_more = (resumed(build(kind, ROOMY, 60), history).suggest() for _ in range(2))
    assert again == once_more is not None
    assert sizes(again.params)["memory_bytes"] <= 60
    assert dict(again.params) not in first.params


@pytest.mark.slow
def test_tpe_learns_what_is_refused() -> None:
    counts = {}
    for kind in ("tpe", "random"):
        sampler = build(kind, ROOMY, 60)
        Loop(sampler).run(40)
        counts[kind] = sampler.screened_out
    assert counts["tpe"] < 0.75 * counts["random"]


@pytest.mark.slow
def test_a_constraint_that_is_not_known_before_training_refuses_nothing() -> None:
    sampler = build_sampler("tpe", SMALL, OBJECTIVES, (ACCURATE,), 1, sizes)
    assert len(Loop(sampler, measured).run(100).trials) == SMALL.size
    assert sampler.screened_out == 0
