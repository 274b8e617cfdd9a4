"""What every callback promises. Subclass `CallbackContract` and give yours as the fixture.

```python
class TestMine(CallbackContract):
    @pytest.fixture
    def callback(self):
        return MyCallback()
```
"""

import copy
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest

from orchestrator.contracts import Plan
from orchestrator.contracts.callbacks import EVENTS
from orchestrator.driver.callbacks import checked
from orchestrator.objectives import Direction, Objective
from orchestrator.trials import (
    Failure,
    FailureKind,
    Report,
    SweepRecord,
    SweepState,
    Trial,
    TrialState,
)
from trainers.doors import FOREIGN_ERRORS, shown_error

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
)
# One of each: complete, and all ways to end without values.
_ENDS = {
    TrialState.COMPLETE: {"accuracy": 0.9, "memory_bytes": 20_000.0},
    TrialState.STOPPED: {},
    TrialState.FAILED: {},
    TrialState.INTERRUPTED: {},
}
Event = tuple[str, tuple[object, ...]]


class CallbackContract:
    """Promises of `orchestrator.Callback`; what a method raises fails the test here.

    In a sweep it is a warning.
    """

    @pytest.fixture
    def callback(self) -> object:
        """Return the callback under test."""
        raise NotImplementedError("give a fixture `callback` that returns yours.")

    def test_it_is_told_of_something(self, callback: object) -> None:
        assert checked(callback) is callback
        methods = [name for name in dir(callback) if name.startswith("on_")]
        assert set(methods) <= set(EVENTS), "a method with another name is never called"

    def test_it_hears_a_whole_sweep(self, callback: object) -> None:
        _tell(callback, _sweep())

    def test_it_hears_a_sweep_that_goes_on_after_a_crash(self, callback: object) -> None:
        past = [_trial(number, state) for number, state in enumerate(_ENDS)]
        again = [("on_sweep_start", (_plan(past),)), *list(_sweep(first=len(past)))[1:]]
        _tell(callback, [*list(_sweep())[:-1], *again])

    def test_it_hears_a_sweep_without_a_trial(self, callback: object) -> None:
        nothing = [("on_sweep_start", (_plan([]),)), ("on_sweep_end", (_record(),))]
        _tell(callback, nothing)

    def test_what_it_is_told_is_left_as_it_was(self, callback: object) -> None:
        for event, facts in _sweep():
            before = copy.deepcopy(facts)
            _tell(callback, [(event, facts)])
            assert facts == before, f"{event} changed what it was told"


def _tell(callback: object, events: Iterable[Event]) -> None:
    """Tell a callback of events; fails with what its methods raised."""
    raised = []
    for event, facts in events:
        method = getattr(callback, event, None)
        try:
            if callable(method):
                method(*facts)
        except FOREIGN_ERRORS as error:
            raised.append(f"{event} raised {shown_error(error)}")
    assert not raised, "; ".join(raised)


def _sweep(first: int = 0) -> Iterator[Event]:
    """Yield all events of a sweep with a trial of each end."""
    yield "on_sweep_start", (_plan([]),)
    for number, state in enumerate(_ENDS, start=first):
        yield "on_trial_start", (_trial(number, TrialState.RUNNING),)
        for epoch in (1, 2):
            yield "on_trial_report", (number, Report(epoch, {"accuracy": 0.5 + 0.1 * epoch}))
        ended = _trial(number, state)
        yield "on_trial_end", (ended,)
        if state is TrialState.COMPLETE:
            yield "on_front_change", ([ended],)
    yield "on_sweep_end", (_record(SweepState.COMPLETE),)


def _trial(number: int, state: TrialState) -> Trial:
    failure = Failure(FailureKind.ERROR, "It failed.") if state is TrialState.FAILED else None
    return Trial(
        "told",
        number,
        {"fc_width_1": 4 + number, "bits": 8},
        seed=number,
        state=state,
        values=_ENDS.get(state, {}),
        failure=failure,
        attempts=1,
        created=_NOW,
        ended=None if state is TrialState.RUNNING else _NOW,
    )


def _plan(past: list[Trial]) -> Plan:
    return Plan(_record(), _OBJECTIVES, trials=8, seconds=None, epochs=2, past=past)


def _record(state: SweepState = SweepState.RUNNING) -> SweepRecord:
    return SweepRecord("told", {"name": "told"}, "0" * 64, state, created=_NOW)
