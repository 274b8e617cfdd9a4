"""What every sampler promises. Subclass `SamplerContract` and say how to build yours.

```python
class TestMine(SamplerContract):
    def build(self, space, objectives, constraints, seed):
        return MySampler(space, objectives, constraints, seed=seed)
```
"""

import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from orchestrator.constraints import Constraint
from orchestrator.contracts import Sampler
from orchestrator.objectives import Direction, Objective
from orchestrator.trials import Failure, FailureKind, PriorPoint, Trial, TrialState, Value
from search_spaces import Choice, Condition, Float, Int, SearchSpace

OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
)
CONSTRAINTS = (Constraint("memory_bytes", "<=", 60.0),)

# 16 widths x 5 bit-widths: the space in which plain Optuna repeats itself in up to 64 % of asks.
SMALL = SearchSpace({"width": Int(1, 16), "bits": Choice((2, 3, 4, 6, 8))})
# Larger than any budget, so that no sampler runs out of configurations.
ROOMY = SearchSpace({"width": Int(1, 128), "bits": Choice((2, 3, 4, 6, 8))})
# Conditions, choices of mixed types, steps and a logarithm; 168 configurations.
FINITE = SearchSpace(
    {
        "layers": Int(1, 2),
        "width": Int(2, 8, step=2),
        "width_2": Int(1, 3, log=True),
        "dropout": Float(0.0, 0.2, step=0.1),
        "norm": Choice((True, 1, "batch")),
        "momentum": Choice((0.9,)),
    },
    {"width_2": Condition.parse("layers >= 2"), "momentum": Condition.parse("norm == 'batch'")},
)

Outcome = Callable[[Mapping[str, Value]], tuple[TrialState, Mapping[str, float]]]


def measured(params: Mapping[str, Value]) -> tuple[TrialState, Mapping[str, float]]:
    """Give values that trade off: wide and precise networks are accurate and large."""
    width = float(params["width"])
    bits = float(params.get("bits", 4))
    values = {"accuracy": 1 - 1 / (1 + width * bits), "memory_bytes": width * bits}
    return TrialState.COMPLETE, values


def reversed_values(params: Mapping[str, Value]) -> tuple[TrialState, Mapping[str, float]]:
    """Give values after which everything that was good is bad."""
    state, values = measured(params)
    return state, {name: -value for name, value in values.items()}


def wide_ones_fail(params: Mapping[str, Value]) -> tuple[TrialState, Mapping[str, float]]:
    """Give values that make wide networks attractive, and fail where they are too wide."""
    if is_too_wide(params):
        return TrialState.FAILED, {}
    return measured(params)


def is_too_wide(params: Mapping[str, Value]) -> bool:
    """Return whether a configuration of `ROOMY` cannot be trained: half of them."""
    return float(params["width"]) > 64


class Loop:
    """The part of a sweep's loop that a sampler sees; every stored trial is observed twice.

    Args:
        sampler: What to ask.
        outcome: How each trial ends.
        in_flight: Trials that run at a time.
        failure: Why trials fail whose state is FAILED.
    """

    def __init__(
        self,
        sampler: Sampler,
        outcome: Outcome = measured,
        in_flight: int = 1,
        failure: FailureKind = FailureKind.ERROR,
    ) -> None:
        self.sampler, self.outcome, self.in_flight = sampler, outcome, in_flight
        self._failure = Failure(failure, "It failed.")
        self.trials: list[Trial] = []
        self._running: deque[int] = deque()

    def run(self, most: int) -> "Loop":
        """Go on until there are `most` trials, all final, or the sampler has no more."""
        while len(self.trials) < most and self.start():
            if len(self._running) == self.in_flight:
                self.finish()
        while self._running:
            self.finish()
        return self

    def start(self) -> bool:
        """Start one trial, unless the space is exhausted."""
        suggestion = self.sampler.suggest()
        if suggestion is None:
            return False
        number = len(self.trials)
        # The store keeps JSON, and gives back what it kept.
        attrs = json.loads(json.dumps(dict(suggestion.sampler_attrs)))
        trial = Trial("s", number, suggestion.params, 0, TrialState.WAITING, sampler_attrs=attrs)
        self.trials.append(trial)
        self._running.append(number)
        self.sampler.observe(trial)
        return True

    def finish(self) -> None:
        """End the trial that was started first."""
        number = self._running.popleft()
        state, values = self.outcome(self.trials[number].params)
        failure = self._failure if state is TrialState.FAILED else None
        ended = replace(self.trials[number], state=state, values=values, failure=failure)
        self.trials[number] = ended
        self.sampler.observe(self.trials[number])

    @property
    def params(self) -> list[dict[str, Value]]:
        """Configurations in the order in which they were proposed."""
        return [dict(trial.params) for trial in self.trials]


def resumed(sampler: Sampler, trials: Sequence[Trial]) -> Sampler:
    """Tell a new sampler what the store holds, as a new driver does."""
    for trial in trials:
        sampler.observe(trial)
    return sampler


def distinct(loop: Loop) -> int:
    """Count the configurations that are distinct, by type and value."""
    return len({json.dumps(params, sort_keys=True) for params in loop.params})


def measured_before(space: SearchSpace, count: int) -> list[PriorPoint]:
    """Give points that were measured before the sweep, spread evenly over a finite space."""
    grid = list(space.grid())
    spread = [grid[index * len(grid) // count] for index in range(count)]
    return [PriorPoint(params, measured(params)[1], "sweep 'old'") for params in spread]


class SamplerContract:
    """Promises of `orchestrator.contracts.Sampler`."""

    learns = True
    """Whether suggestions depend on the values of trials."""

    resumes_exactly = True
    """Whether a rebuilt sampler goes on as the live one; if not, only as well as it."""

    space = SMALL
    """A finite space of at least `budget` + 2 configurations."""

    budget = 30
    """Trials after which a learning sampler must have learned; at least 14."""

    infeasible_budget = 30
    """The same, of what cannot be trained."""

    def build(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        seed: int,
    ) -> Sampler:
        raise NotImplementedError

    def sampler(self, space: SearchSpace | None = None, seed: int = 0) -> Sampler:
        return self.build(space or self.space, OBJECTIVES, CONSTRAINTS, seed)

    def test_suggestions_are_canonical_configurations_of_the_space(self) -> None:
        loop = Loop(self.sampler(FINITE)).run(self.budget)
        for params in loop.params:
            assert json.dumps(FINITE.canonical(params)) == json.dumps(params)

    @pytest.mark.parametrize("in_flight", [1, 8])
    def test_a_finite_space_is_exhausted_exactly_and_nothing_comes_twice(
        self, in_flight: int
    ) -> None:
        loop = Loop(self.sampler(), in_flight=in_flight).run(10_000)
        assert distinct(loop) == len(loop.trials) == self.space.size
        assert self.sampler().suggest() is not None
        assert loop.sampler.suggest() is None

    def test_choices_that_python_calls_equal_are_all_proposed(self) -> None:
        space = SearchSpace({"width": Choice((1, 1.0, True))})
        loop = Loop(self.sampler(space)).run(10)
        assert sorted(type(params["width"]).__name__ for params in loop.params) == [
            "bool",
            "float",
            "int",
        ]

    def test_the_same_seed_and_history_give_the_same_suggestions(self) -> None:
        first = Loop(self.sampler(seed=3), in_flight=3).run(self.budget)
        second = Loop(self.sampler(seed=3), in_flight=3).run(self.budget)
        other = Loop(self.sampler(seed=4), in_flight=3).run(self.budget)
        assert first.params == second.params
        assert first.params != other.params

    def test_history_changes_the_suggestions(self) -> None:
        seen = Loop(self.sampler(), measured).run(self.budget)
        told_otherwise = Loop(self.sampler(), reversed_values).run(self.budget)
        assert (seen.params != told_otherwise.params) == self.learns

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.8])
    def test_a_new_driver_goes_on_like_the_one_that_died(self, share: float) -> None:
        loop = Loop(self.sampler(), in_flight=4).run(int(share * self.budget))
        for _ in range(2):  # two are in flight when the driver dies
            loop.start()
        sampler = resumed(self.sampler(), loop.trials)
        ahead, again = loop.sampler.suggest(), sampler.suggest()
        assert ahead is not None
        assert again is not None
        assert dict(again.sampler_attrs) == dict(ahead.sampler_attrs)
        if self.resumes_exactly:
            assert again.params == ahead.params

    def test_configurations_in_flight_when_a_driver_died_are_not_proposed_again(self) -> None:
        loop = Loop(self.sampler()).run(6)
        for state in (TrialState.WAITING, TrialState.RUNNING, TrialState.INTERRUPTED):
            loop.start()
            loop.trials[-1] = replace(loop.trials[-1], state=state)
        rest = Loop(resumed(self.sampler(), loop.trials)).run(self.budget - 9)
        assert len(rest.trials) == self.budget - 9
        assert not any(params in loop.params for params in rest.params)

    def test_trials_of_a_dead_driver_may_end_later(self) -> None:
        loop = Loop(self.sampler()).run(12)
        loop.start()
        sampler = resumed(self.sampler(), loop.trials)
        loop.finish()
        sampler.observe(loop.trials[-1])
        restarted = resumed(self.sampler(), loop.trials)
        assert sampler.suggest() == restarted.suggest()

    def test_replicates_are_not_new_configurations(self) -> None:
        loop = Loop(self.sampler()).run(12)
        for number in range(12):
            again = replace(loop.trials[number], number=12 + number, replicate=1)
            loop.sampler.observe(replace(again, state=TrialState.RUNNING, values={}))
            loop.sampler.observe(again)
            loop.trials.append(again)
        restarted = resumed(self.sampler(), loop.trials).suggest()
        suggestion = loop.sampler.suggest()
        assert (suggestion == restarted) or not self.resumes_exactly
        assert suggestion is not None
        assert dict(suggestion.params) not in loop.params

    def test_failed_stopped_and_unmeasured_trials_do_no_harm(self) -> None:
        nothing: Mapping[str, float] = {}
        ends = [
            (TrialState.FAILED, nothing),
            (TrialState.STOPPED, nothing),
            (TrialState.COMPLETE, {"accuracy": math.nan, "memory_bytes": 1.0}),
            (TrialState.COMPLETE, {"accuracy": math.inf, "memory_bytes": 1.0}),
            (TrialState.COMPLETE, {"accuracy": 0.5}),
            (TrialState.INTERRUPTED, nothing),
        ]
        turn = iter(range(10_000))

        def mixed(params: Mapping[str, Value]) -> tuple[TrialState, Mapping[str, float]]:
            number = next(turn)
            return ends[number // 2 % len(ends)] if number % 2 else measured(params)

        loop = Loop(self.sampler(), mixed, in_flight=2).run(self.budget)
        assert distinct(loop) == self.budget

    def test_configurations_that_cannot_be_trained_are_avoided(self) -> None:
        kind = FailureKind.OUT_OF_MEMORY
        late: list[bool] = []
        for seed in range(3):
            sampler = self.build(ROOMY, OBJECTIVES[:1], (), seed)
            loop = Loop(sampler, wide_ones_fail, failure=kind).run(self.infeasible_budget)
            late += map(is_too_wide, loop.params[-self.infeasible_budget // 3 :])
        # The best one is next to those that fail: a sampler that forgets nearly always fails.
        assert sum(late) / len(late) < 0.45 or not self.learns

    def test_failures_teach_alike_that_configurations_are_to_blame_for_and_others_nothing(
        self,
    ) -> None:
        loop = Loop(self.sampler(), measured).run(12)
        failed = replace(loop.trials[3], state=TrialState.FAILED, values={})

        def after(failure: Failure | None) -> str:
            loop.trials[3] = replace(failed, failure=failure)
            return repr(resumed(self.sampler(), loop.trials).suggest())

        found = {kind: after(Failure(kind, "")) for kind in FailureKind}
        assert {found[kind] for kind in FailureKind if not kind.is_infeasible} == {after(None)}
        assert len({found[kind] for kind in FailureKind if kind.is_infeasible}) == 1

    @pytest.mark.parametrize("constraints", [(), CONSTRAINTS])
    def test_a_new_driver_knows_what_cannot_be_trained(
        self, constraints: Sequence[Constraint]
    ) -> None:
        def build() -> Sampler:
            return self.build(ROOMY, OBJECTIVES, constraints, 1)

        kind = FailureKind.OUT_OF_MEMORY
        loop = Loop(build(), wide_ones_fail, in_flight=3, failure=kind).run(self.budget - 3)
        ahead, again = loop.sampler.suggest(), resumed(build(), loop.trials).suggest()
        assert ahead is not None
        assert again is not None
        assert dict(again.sampler_attrs) == dict(ahead.sampler_attrs)
        if self.resumes_exactly:
            assert again.params == ahead.params

    def test_being_told_twice_is_being_told_once(self) -> None:
        once = Loop(self.sampler()).run(12)
        twice = resumed(self.sampler(), [*once.trials, *once.trials])
        assert twice.suggest() == resumed(self.sampler(), once.trials).suggest()

    def warm(self, points: Sequence[PriorPoint]) -> Sampler:
        sampler = self.sampler()
        sampler.learn(points)
        return sampler

    def test_points_measured_before_change_the_suggestions_of_who_learns(self) -> None:
        cold = Loop(self.sampler()).run(self.budget)
        warm = Loop(self.warm(measured_before(self.space, self.budget))).run(self.budget)
        assert (cold.params != warm.params) == self.learns

    def test_points_measured_before_are_no_trials_and_all_of_the_space_is_proposed(self) -> None:
        space = SearchSpace({"width": Int(1, 6)})
        sampler = self.sampler(space)
        sampler.learn(measured_before(space, 6))
        loop = Loop(sampler, in_flight=3).run(10)
        assert distinct(loop) == len(loop.trials) == 6

    def test_a_new_driver_learns_again_from_the_same_points_and_goes_on(self) -> None:
        points = measured_before(self.space, 12)
        loop = Loop(self.warm(points), in_flight=3).run(self.budget // 2)
        ahead, again = loop.sampler.suggest(), resumed(self.warm(points), loop.trials).suggest()
        assert ahead is not None
        assert again is not None
        assert dict(again.sampler_attrs) == dict(ahead.sampler_attrs)
        if self.resumes_exactly:
            assert again.params == ahead.params

    def test_learning_from_no_points_is_learning_nothing(self) -> None:
        cold, warm = Loop(self.sampler()).run(12), Loop(self.warm([])).run(12)
        assert cold.params == warm.params
