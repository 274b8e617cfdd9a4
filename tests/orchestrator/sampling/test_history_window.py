"""What a sampler is shown of many trials."""

import statistics
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.sampling import build_sampler, optuna_sampler
from orchestrator.sampling.history_window import BEST, RECENT, SAMPLE, STEP, Window, horizon
from orchestrator.testing.sampler_contract import Loop, resumed
from orchestrator.trials import Failure, FailureKind, PriorPoint, Trial, TrialState
from search_spaces import Float, SearchSpace

LOSSES = (Objective("a", Direction.MINIMIZE), Objective("b", Direction.MINIMIZE))
LIMIT = (Constraint("b", "<=", 0.5),)
MOST = BEST + SAMPLE
PLANE = SearchSpace({name: Float(0.0, 1.0) for name in "xy"})


def trial(number: int, a: float, b: float, **changes) -> Trial:
    made = Trial("s", number, {}, 0, TrialState.COMPLETE, values={"a": a, "b": b})
    return replace(made, **changes)


def line(count: int) -> list[Trial]:
    """Trials each of which beats the one before."""
    return [trial(number, 1 / (1 + number), 1 / (1 + number)) for number in range(count)]


def test_few_trials_are_all_shown() -> None:
    window = Window(LOSSES, (), 0)
    window.add(line(MOST))
    assert window.shown == line(MOST)
    assert window.hidden == 0


def test_of_many_trials_the_best_are_shown_and_a_sample_of_the_rest_in_order() -> None:
    window = Window(LOSSES, (), 0)
    window.add(line(1_000))
    numbers = [each.number for each in window.shown]
    assert numbers == sorted(numbers)
    assert numbers[-BEST:] == list(range(1_000 - BEST, 1_000))
    assert len(numbers) == MOST
    assert window.hidden == 1_000 - MOST


@pytest.mark.slow
@settings(max_examples=20)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_the_best_do_not_depend_on_how_many_are_given_at_a_time(sizes) -> None:
    all_of_them = line(sum(sizes))
    window = Window(LOSSES, (), 0)
    first = 0
    for size in sizes:
        window.add(all_of_them[first : first + size])
        first += size
    assert all_of_them[-BEST:] == window.shown[-BEST:]


@pytest.mark.slow
def test_each_of_the_rest_is_as_likely_to_be_in_the_sample() -> None:
    shown: list[int] = []
    all_of_them = line(640)
    for seed in range(20):
        window = Window(LOSSES, (), seed)
        for first in range(0, 640, STEP):
            window.add(all_of_them[first : first + STEP])
        shown += [each.number for each in window.shown if each.number < 640 - BEST]
    assert statistics.mean(shown) == pytest.approx((640 - BEST) / 2, rel=0.06)


def test_of_a_front_that_does_not_fit_its_ends_and_its_width_are_kept() -> None:
    window = Window(LOSSES, (), 0)
    window.add([trial(n, n / 999, 1 - n / 999) for n in range(1_000)])
    best = sorted(each.values["a"] for _, each in window._best)
    assert (best[0], best[-1]) == (0.0, 1.0)
    # Given a few at a time, what is kept is spread over the whole front.
    window = Window(LOSSES, (), 0)
    for n in range(0, 1_000, 25):
        window.add([trial(m, (7 * m % 1_000) / 999, 1 - (7 * m % 1_000) / 999)
                    for m in range(n, n + 25)])  # fmt: skip
    best = sorted(each.values["a"] for _, each in window._best)
    assert max(b - a for a, b in pairwise(best)) < 0.25


def test_trials_within_the_constraints_come_first_and_then_the_least_violating() -> None:
    good = [trial(n, 9.0 + n / 7, 0.4) for n in range(3)]
    near = [trial(3 + n, 0.0, 0.6 + n / 1_000) for n in range(500)]
    window = Window(LOSSES, LIMIT, 0)
    window.add([*good, *near])
    assert {each.number for _, each in window._best} == set(range(BEST))


def test_what_failed_by_no_fault_of_its_own_is_left_out_and_what_cannot_be_trained_is_not() -> (
    None
):
    lost = Failure(FailureKind.WORKER_LOST, "")
    full = Failure(FailureKind.OUT_OF_MEMORY, "")
    failed = [
        trial(n, 0.0, 0.0, state=TrialState.FAILED, values={}, failure=lost if n % 2 else full)
        for n in range(20)
    ]
    stopped = trial(20, 0.0, 0.0, state=TrialState.STOPPED, values={})
    window = Window(LOSSES, LIMIT, 0)
    window.add([*failed, stopped])
    assert [each.number for each in window.shown] == [*range(0, 20, 2), 20]


def test_nothing_is_shown_of_nothing() -> None:
    window = Window(LOSSES, (), 0)
    window.add([])
    assert window.shown == []


def test_the_latest_trials_are_always_all_shown() -> None:
    for settled in range(500):
        assert settled - RECENT - STEP < horizon(settled) <= max(0, settled - RECENT)
        assert horizon(settled) % STEP == 0


def plane(params) -> tuple[TrialState, dict[str, float]]:
    return TrialState.COMPLETE, {"a": params["x"] + params["y"], "b": 1 - params["x"]}


def shown_to_optuna(sampler) -> list:
    return [
        (each.state, each.params, each.values, each.system_attrs)
        for each in sampler._study.trials
        if each.state.name != "FAIL"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "nsga2"])
def test_a_study_stays_small_and_a_new_driver_has_the_same(kind) -> None:
    def build():
        return build_sampler(kind, PLANE, LOSSES, (), 0)

    loop = Loop(build(), plane, in_flight=5).run(260)
    for _ in range(3):
        loop.start()
    again = resumed(build(), loop.trials)
    ahead, found = loop.sampler.suggest(), again.suggest()
    assert dict(found.sampler_attrs) == dict(ahead.sampler_attrs)
    live, new = (shown_to_optuna(each)[:-1] for each in (loop.sampler, again))
    assert live == new
    assert len(new) <= MOST + RECENT + STEP + 5
    assert sum(state.name == "RUNNING" for state, *_ in new) == 3


def test_tpe_goes_on_after_a_restart_as_if_nothing_had_happened(monkeypatch) -> None:
    # A window that moves early: TPE takes long for many trials.
    monkeypatch.setattr(optuna_sampler, "STEP", 4)
    monkeypatch.setattr(optuna_sampler, "horizon", lambda n: max(0, n - 4) // 4 * 4)
    monkeypatch.setattr("orchestrator.sampling.history_window.BEST", 4)
    monkeypatch.setattr("orchestrator.sampling.history_window.SAMPLE", 6)

    def build():
        return build_sampler("tpe", PLANE, LOSSES, (), 0)

    loop = Loop(build(), plane, in_flight=3).run(38)
    loop.start()
    ahead, found = loop.sampler.suggest(), resumed(build(), loop.trials).suggest()
    assert ahead == found
    assert len(loop.sampler._study.trials) < 25


@pytest.mark.slow
def test_what_was_in_flight_when_the_window_moved_is_told_when_it_ends() -> None:
    loop = Loop(build_sampler("random", PLANE, LOSSES, (), 0), plane, in_flight=40).run(200)
    states = [state.name for state, *_ in shown_to_optuna(loop.sampler)]
    assert set(states) == {"COMPLETE"}


@pytest.mark.slow
def test_generations_of_nsga2_go_on_counting_though_old_ones_are_not_shown() -> None:
    loop = Loop(build_sampler("nsga2", PLANE, LOSSES, (), 0), plane).run(400)
    found = [each.sampler_attrs["NSGAIISampler:generation"] for each in loop.trials]
    assert found == [number // 20 for number in range(400)]
    assert max(s["NSGAIISampler:generation"] for *_, s in shown_to_optuna(loop.sampler)) < 10


def test_of_very_many_points_measured_before_the_best_and_a_sample_are_learned_from() -> None:
    points = [PriorPoint({"x": n / 999, "y": 0.5}, {"a": 1.0, "b": 1.0}) for n in range(1_000)]
    sampler = build_sampler("random", PLANE, LOSSES, (), 0)
    sampler.learn(points)
    assert len(shown_to_optuna(sampler)) == MOST
