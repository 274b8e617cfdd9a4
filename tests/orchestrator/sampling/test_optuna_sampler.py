import logging
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest

from orchestrator.constraints import Constraint
from orchestrator.contracts import Sampler, Suggestion
from orchestrator.objectives import Direction, Objective
from orchestrator.sampling import OPTUNA_KINDS, build_sampler
from orchestrator.sampling.kinds import KINDS, NSGA2_POPULATION
from orchestrator.sampling.optuna_sampler import OptunaSampler
from orchestrator.testing.sampler_contract import (
    CONSTRAINTS,
    FINITE,
    OBJECTIVES,
    ROOMY,
    SMALL,
    Loop,
    SamplerContract,
    distinct,
    measured,
    resumed,
)
from orchestrator.trials import FailureKind, PriorPoint, Trial, TrialState
from search_spaces import Choice, Float, Int, SearchSpace


class OptunaContract(SamplerContract):
    kind = ""

    def build(self, space, objectives, constraints, seed) -> Sampler:
        return build_sampler(self.kind, space, objectives, constraints, seed)


@pytest.mark.slow
class TestTpe(OptunaContract):
    kind = "tpe"


@pytest.mark.slow
class TestNsga2(OptunaContract):
    kind = "nsga2"
    resumes_exactly = False
    infeasible_budget = 4 * NSGA2_POPULATION


class TestRandom(OptunaContract):
    kind = "random"
    learns = False


@pytest.mark.slow
class TestGaussianProcesses(OptunaContract):
    kind = "gp"
    space = SearchSpace({"width": Int(1, 4), "bits": Choice((2, 3, 4, 6))})
    budget = 14
    infeasible_budget = 14

    def build(self, space, objectives, constraints, seed) -> Sampler:
        # One objective: an ask takes 0.2 s, with two and a constraint it takes one second.
        return build_sampler(self.kind, space, objectives[:1], (), seed)


@pytest.mark.slow
def test_gaussian_processes_take_objectives_and_constraints_together() -> None:
    sampler = build_sampler("gp", SMALL, OBJECTIVES, CONSTRAINTS, 0)
    assert distinct(Loop(sampler, in_flight=2).run(13)) == 13


PLANE = SearchSpace({name: Float(0.0, 1.0) for name in "xyz"})
LOSSES = (Objective("a", Direction.MINIMIZE), Objective("b", Direction.MINIMIZE))


def plane(params) -> tuple[TrialState, dict[str, float]]:
    """Two losses whose front is the line y = z = 0, and what x costs."""
    x, off = params["x"], 5 * (params["y"] + params["z"])
    return TrialState.COMPLETE, {"a": x + off, "b": 1 - x + off, "cost": x}


def distance(params: Sequence[dict]) -> float:
    """How far configurations are from the front, on average; 1 for random ones."""
    return statistics.mean(each["y"] + each["z"] for each in params)


def ahead(sampler: Sampler, count: int) -> list[Suggestion]:
    found = [sampler.suggest() for _ in range(count)]
    return [suggestion for suggestion in found if suggestion is not None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_learning_samplers_find_the_front_and_random_search_does_not(kind) -> None:
    learned, drawn = (
        Loop(build_sampler(each, PLANE, LOSSES, (), 0), plane).run(100)
        for each in (kind, "random")
    )
    assert distance(learned.params[-30:]) < 0.7 * distance(drawn.params[-30:])


def drawn_before(count: int) -> list[PriorPoint]:
    """What a random search measured in the plane."""
    rng = random.Random(7)
    drawn = [PLANE.sample(rng) for _ in range(count)]
    return [PriorPoint(params, plane(params)[1], "sweep 'old'") for params in drawn]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "first"), [("tpe", 10), ("nsga2", 20), ("gp", 1)])
def test_a_sampler_that_learned_before_proposes_better_from_the_first_trial_on(
    kind, first
) -> None:
    points = drawn_before(60)
    cold, warm = [], []
    for seed in range(3):
        for found, known in ((cold, []), (warm, points)):
            sampler = build_sampler(kind, PLANE, LOSSES[:1], (), seed)
            sampler.learn(known)
            found += Loop(sampler, plane).run(first).params
    assert distance(warm) < 0.75 * distance(cold)


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "gp"])
def test_points_measured_before_are_told_with_their_violations(kind) -> None:
    limit = (Constraint("cost", "<=", 0.5),)
    sampler = build_sampler(kind, PLANE, LOSSES, limit, 0)
    sampler.learn(drawn_before(5))
    Loop(sampler, lambda _: (TrialState.FAILED, {}), failure=FailureKind.DIVERGED).run(2)
    for told, point in zip(study_of(sampler).trials, drawn_before(5), strict=False):
        assert told.state is optuna.trial.TrialState.COMPLETE
        assert told.params == point.params
        assert told.values == [point.values["a"], point.values["b"]]
        assert told.constraints["cost <= 0.5"] == pytest.approx(2 * point.params["x"] - 1)


def test_points_measured_before_are_the_first_generation_of_nsga2() -> None:
    sampler = build_sampler("nsga2", PLANE, LOSSES, (), 0)
    sampler.learn(drawn_before(NSGA2_POPULATION - 2))
    loop = Loop(sampler, plane).run(4)
    generations = [trial.sampler_attrs["NSGAIISampler:generation"] for trial in loop.trials]
    assert generations == [0, 0, 1, 1]


@pytest.mark.slow
def test_a_rebuilt_nsga2_is_not_random() -> None:
    loop = Loop(build_sampler("nsga2", PLANE, LOSSES, (), 0), plane).run(5 * NSGA2_POPULATION)
    bare = [replace(trial, sampler_attrs={}) for trial in loop.trials]
    rebuilt, forgetful = (
        ahead(resumed(build_sampler("nsga2", PLANE, LOSSES, (), 0), trials), 30)
        for trials in (loop.trials, bare)
    )
    assert rebuilt[0].sampler_attrs["NSGAIISampler:generation"] == 5
    assert forgetful[0].sampler_attrs["NSGAIISampler:generation"] == 0
    assert distance([s.params for s in rebuilt]) < 0.7 * distance([s.params for s in forgetful])


@pytest.mark.slow
def test_trials_drawn_from_the_rest_belong_to_a_generation_of_nsga2_too() -> None:
    loop = Loop(build_sampler("nsga2", SMALL, OBJECTIVES, (), 0)).run(80)
    generations = [trial.sampler_attrs["NSGAIISampler:generation"] for trial in loop.trials]
    assert generations == [number // NSGA2_POPULATION for number in range(80)]


def test_mutated_values_of_nsga2_do_not_repeat_the_numbers_that_decide_on_crossovers() -> None:
    sampler = KINDS["nsga2"].build(0, 0)
    deciding = sampler._rng.rng.random(500)
    drawn = sampler._random_sampler._rng.rng.random(500)
    assert not set(deciding) & set(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_constraints_steer_the_search(kind) -> None:
    limit = Constraint("cost", "<=", 0.3)
    objective = (Objective("b", Direction.MINIMIZE),)  # wants the most expensive x
    free, limited = (
        Loop(build_sampler(kind, PLANE, objective, limits, 0), plane).run(100)
        for limits in ((), (limit,))
    )
    met = [sum(t.values["cost"] <= 0.3 for t in run.trials[-40:]) for run in (free, limited)]
    assert met[1] > 20 > met[0]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "widest", "most"), [("tpe", 64, 60), ("nsga2", 12, 120)])
def test_learning_from_what_cannot_be_trained_beats_forgetting_it(kind, widest, most) -> None:
    def limited(params) -> tuple[TrialState, dict[str, float]]:
        return measured(params) if params["width"] <= widest else (TrialState.FAILED, {})

    def failed(failure: FailureKind) -> int:
        samplers = [build_sampler(kind, ROOMY, OBJECTIVES, (), seed) for seed in range(3)]
        loops = [Loop(each, limited, failure=failure).run(most) for each in samplers]
        return sum(trial.state is TrialState.FAILED for loop in loops for trial in loop.trials)

    assert failed(FailureKind.OUT_OF_MEMORY) < 0.93 * failed(FailureKind.ERROR)


@pytest.mark.parametrize("rebuilt", [False, True])
@pytest.mark.parametrize("kind", ["tpe", "nsga2", "gp"])
def test_what_cannot_be_trained_is_complete_and_worse_than_what_was_measured(
    kind, rebuilt
) -> None:
    ends = iter(
        [
            (TrialState.FAILED, {}),
            (TrialState.COMPLETE, {"a": 1.0, "b": -2.0}),
            (TrialState.FAILED, {}),
            (TrialState.COMPLETE, {"a": -3.0, "b": 5.0}),
        ]
    )
    limit = (Constraint("b", "<=", 1.0),)
    loop = Loop(
        build_sampler(kind, PLANE, LOSSES, limit, 0),
        lambda _: next(ends),
        failure=FailureKind.DIVERGED,
    ).run(4)
    sampler = loop.sampler
    if rebuilt:
        sampler = resumed(build_sampler(kind, PLANE, LOSSES, limit, 0), loop.trials)
    sampler.suggest()
    first, good, second, violating = study_of(sampler).trials[:4]
    for unfit in (first, second):
        assert unfit.state is optuna.trial.TrialState.COMPLETE
        assert unfit.params
        assert sum(v for v in unfit.constraints.values() if v > 0) > 0
        if kind == "gp":  # which fits models to the values and to each constraint of all trials
            assert unfit.values == [1.0, 5.0]
            assert unfit.constraints.keys() == violating.constraints.keys()
        else:
            worst = sum(v for v in violating.constraints.values() if v > 0)
            assert sum(unfit.constraints.values()) > worst > 0
    assert all(v <= 0 for v in good.constraints.values())


@pytest.mark.slow
def test_gaussian_processes_bear_a_search_in_which_nothing_can_be_trained() -> None:
    sampler = build_sampler("gp", ROOMY, OBJECTIVES[:1], CONSTRAINTS, 0)
    nothing = lambda _: (TrialState.FAILED, {})  # noqa: E731
    loop = Loop(sampler, nothing, failure=FailureKind.OUT_OF_MEMORY).run(12)
    assert distinct(loop) == 12


def study_of(sampler: Sampler) -> optuna.Study:
    assert isinstance(sampler, OptunaSampler)
    return sampler._study


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "random"])
@pytest.mark.parametrize("rebuilt", [False, True])
def test_optuna_holds_each_trial_in_its_true_state(kind, rebuilt) -> None:
    states = [TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED, TrialState.COMPLETE]
    values = [{"a": 1.0, "b": 2.0}, {}, {}, {"a": float("nan"), "b": 1.0}]
    ends = iter(zip(states, values, strict=True))
    limit = (Constraint("b", "<=", 1.0),)
    loop = Loop(build_sampler(kind, PLANE, LOSSES, limit, 0), lambda _: next(ends)).run(4)
    for state in (TrialState.WAITING, TrialState.RUNNING, TrialState.INTERRUPTED):
        loop.start()
        loop.trials[-1] = replace(loop.trials[-1], state=state)
        loop.sampler.observe(loop.trials[-1])
    sampler = loop.sampler
    if rebuilt:
        sampler = resumed(build_sampler(kind, PLANE, LOSSES, limit, 0), loop.trials)
    trials = study_of(sampler).trials
    assert [trial.state.name for trial in trials] == [
        "COMPLETE", "PRUNED", "FAIL", "FAIL", "RUNNING", "RUNNING", "RUNNING"
    ]  # fmt: skip
    assert trials[0].values == [1.0, 2.0]
    assert trials[0].constraints == {"b <= 1": 1.0}


@pytest.mark.slow
def test_no_trial_stays_running_once_all_are_final_even_after_duplicates() -> None:
    loop = Loop(build_sampler("tpe", SMALL, OBJECTIVES, (), 0), in_flight=8).run(80)
    states = [trial.state for trial in study_of(loop.sampler).trials]
    assert states.count(optuna.trial.TrialState.COMPLETE) == 80
    assert set(states[:80]) <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL}
    assert optuna.trial.TrialState.RUNNING not in states


def test_a_trial_of_a_dead_driver_that_ends_later_is_told_with_its_constraints() -> None:
    limit = (Constraint("b", "<=", 1.0),)
    trial = Trial("s", 0, {"x": 0.5, "y": 0.5, "z": 0.5}, 0, TrialState.INTERRUPTED)
    sampler = resumed(build_sampler("tpe", PLANE, LOSSES, limit, 0), [trial])
    done = replace(trial, state=TrialState.COMPLETE, values={"a": 1.0, "b": 3.0})
    sampler.observe(done)
    sampler.suggest()
    told = study_of(sampler).trials[0]
    assert told.values == [1.0, 3.0]
    assert told.constraints == {"b <= 1": 2.0}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tpe", "nsga2", "random"])
def test_conditional_and_continuous_spaces_never_repeat(kind) -> None:
    assert distinct(Loop(build_sampler(kind, FINITE, OBJECTIVES, (), 1)).run(50)) == 50
    assert distinct(Loop(build_sampler(kind, PLANE, LOSSES, (), 1), plane).run(30)) == 30


@pytest.mark.parametrize("kind", OPTUNA_KINDS)
def test_optuna_says_nothing_on_the_terminal_and_is_not_muted_for_others(kind, capfd) -> None:
    optuna.logging.set_verbosity(logging.INFO)
    try:
        Loop(build_sampler(kind, PLANE, LOSSES, (), 0), plane).run(3)
        assert capfd.readouterr() == ("", "")
        assert optuna.logging.get_verbosity() == logging.INFO
    finally:
        optuna.logging.set_verbosity(logging.WARNING)
