"""What is known of a run while it goes on."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.contracts import Plan
from orchestrator.fronts.front import compute_front
from orchestrator.objectives import Objective
from orchestrator.quantities import known_direction
from orchestrator.reporting.run_view import RunView
from orchestrator.trials import Report, Trial, TrialState

MakePlan = Callable[..., Plan]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_time_left_counts_all_workers_and_what_is_half_done(
    plan: MakePlan, trials: list[Trial], clock: Clock
) -> None:
    view = RunView(plan(), clock)
    assert view.left_s() is None
    view.started(trials[0])
    view.started(trials[1])
    clock.now += 10
    assert view.ended(trials[0]) == 10
    view.reported(1, Report(2, {"accuracy": 0.5}))  # of four epochs
    # 1.5 trials in 10 s; 6.5 remain.
    assert view.left_s() == pytest.approx(6.5 / 0.15)


def test_a_budget_of_seconds_caps_the_time_left(
    plan: MakePlan, trials: list[Trial], clock: Clock
) -> None:
    view = RunView(plan(seconds=15.0), clock)
    view.started(trials[0])
    clock.now += 10
    view.ended(trials[0])
    assert view.left_s() == pytest.approx(5)
    clock.now += 100
    assert view.left_s() == 0


def test_trials_of_earlier_runs_count_as_done_but_not_for_the_pace(
    plan: MakePlan, trials: list[Trial], clock: Clock
) -> None:
    waiting = replace(trials[3], state=TrialState.INTERRUPTED, values={})
    view = RunView(plan(past=[*trials[:3], waiting]), clock)
    assert view.done == 3
    assert len(view.front) == 3
    assert view.left_s() is None


def test_the_front_and_the_best_follow_every_trial(
    plan: MakePlan, trials: list[Trial], clock: Clock
) -> None:
    view = RunView(plan(), clock)
    assert len(view.front) == 0
    assert view.best() == []
    for trial in trials:
        view.started(trial)
        view.ended(trial)
    assert [member.trial for member in view.front] == [0, 1, 2]
    assert {o.name: trial.number for o, trial in view.best()} == {
        "accuracy": 0,
        "memory_bytes": 2,
        "robust_accuracy": 2,
    }


def test_an_interrupted_trial_is_not_done(plan: MakePlan, trials: list[Trial]) -> None:
    view = RunView(plan())
    view.started(trials[0])
    view.ended(replace(trials[0], state=TrialState.INTERRUPTED, values={}))
    assert view.done == 0
    assert view.running == {}


def test_a_report_of_an_unknown_trial_changes_nothing(plan: MakePlan) -> None:
    view = RunView(plan())
    view.reported(7, Report(1, {}))
    assert view.running == {}


def test_constraints_of_the_spec_decide_what_is_on_the_front(
    plan: MakePlan, trials: list[Trial]
) -> None:
    sweep = replace(plan().sweep, spec={"constraints": ["memory_bytes <= 30kB"]})
    view = RunView(plan(sweep=sweep, past=trials))
    assert [member.trial for member in view.front] == [1, 2]


levels = st.integers(0, 3).map(float)
ends = st.tuples(
    st.sampled_from([TrialState.COMPLETE] * 3 + [TrialState.FAILED]),
    st.fixed_dictionaries({"accuracy": levels}, optional={"memory_bytes": levels}),
    st.booleans(),
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ends, max_size=15), st.sampled_from([[], ["memory_bytes <= 1"]]))
def test_what_is_forgotten_changes_neither_the_front_nor_the_best(
    plan: MakePlan, history: list, limits: list[str]
) -> None:
    goals = tuple(Objective(name, known_direction(name)) for name in ("accuracy", "memory_bytes"))
    sweep = replace(plan().sweep, spec={"constraints": limits})
    made = plan(sweep=sweep, objectives=goals)
    view, seen = RunView(made), []
    for number, (state, values, looked_at) in enumerate(history):
        values = values if state is TrialState.COMPLETE else {}
        seen.append(Trial("s", number, {}, 0, state, values=values))
        view.ended(seen[-1])
        if looked_at or number == len(history) - 1:
            whole = compute_front(seen, made.objectives, [Constraint.parse(x) for x in limits])
            assert view.front.members == whole.members
            assert view.front.feasible == whole.feasible
    for objective, best in view.best():
        complete = [t for t in seen if objective.name in t.values]
        losses = [objective.loss(t.values[objective.name]) for t in complete]
        assert best == complete[losses.index(min(losses))]
