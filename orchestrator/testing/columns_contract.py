"""What every store promises of trials as columns: the same numbers that trials have."""

import math

import numpy as np
import pytest

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.errors import UnknownNameError
from orchestrator.testing.trial_contract import ODD
from orchestrator.trials import SweepState, TrialState, Value

_ENDS = [state for state in TrialState if state.is_final]


def fill_columns(writer: SweepWriter, count: int, first: int = 0) -> None:
    """Store trials of all ends, with conditional parameters and values that some lack."""
    for number in range(first, first + count):
        params: dict[str, Value] = {"width": number, "lr": 0.1 + number / 3, ODD: ODD}
        params |= {"bias": number % 2 == 0} if number % 3 else {}
        writer.add_trial(params, seed=0)
        writer.start_attempt(number, "w")
        values = {"accuracy": number / 7, "memory_bytes": 5e-324 + number, ODD: 2.0**53}
        values |= {"odd": -1.0} if number % 5 == 0 else {}
        state = _ENDS[0] if number % 4 else _ENDS[number // 4 % len(_ENDS)]
        writer.finish_attempt(number, 0, Outcome(state, values))


def assert_same_as_trials(store: Store, sweep: str = "a") -> None:
    """Assert that columns hold what complete trials do, by type and value."""
    complete = store.trials(sweep, [TrialState.COMPLETE])
    values = {name for trial in complete for name in trial.values}
    params = {name for trial in complete for name in trial.params}
    found = store.columns(sweep, {*values, "nothing"}, {*params, "nothing"})
    assert found.numbers.tolist() == [trial.number for trial in complete]
    for name in (*values, "nothing"):
        expected = [trial.values.get(name, math.nan) for trial in complete]
        np.testing.assert_array_equal(found.value(name), np.array(expected, np.float64))
    for name in (*params, "nothing"):
        chosen = [trial.params.get(name) for trial in complete]
        assert repr(list(found.param(name))) == repr(chosen)
    assert store.value_names(sweep) == values


class ColumnsContract:
    """Part of `StoreContract`; the fixtures ``store`` and ``writer`` are those of its others."""

    def test_columns_hold_what_complete_trials_do(self, store: Store, writer: SweepWriter) -> None:
        assert_same_as_trials(store)
        fill_columns(writer, 14)
        writer.add_trial({"waits": 1}, seed=0)
        assert_same_as_trials(store)
        writer.add_values(1, {"test_accuracy": 0.5})
        writer.set_sweep_state(SweepState.COMPLETE)
        assert_same_as_trials(store)

    def test_columns_are_of_one_sweep(self, store: Store, writer: SweepWriter) -> None:
        store.create_sweep("b", {}, "f")
        other = store.take("b", "second")
        for number in range(6):
            fill_columns(writer, 1, number)
            fill_columns(other, 1, number)
        other.add_values(1, {"of_b": 1.0})
        assert_same_as_trials(store, "a")
        assert_same_as_trials(store, "b")

    def test_only_the_columns_asked_for_are_read(self, store: Store, writer: SweepWriter) -> None:
        fill_columns(writer, 4)
        found = store.columns("a", ["accuracy"])
        assert (list(found.values), list(found.params)) == (["accuracy"], [])

    def test_trials_are_read_by_their_numbers(self, store: Store, writer: SweepWriter) -> None:
        fill_columns(writer, 6)
        assert store.numbered("a", [4, 1, 1, 99]) == [store.trial("a", 1), store.trial("a", 4)]
        assert store.numbered("a", []) == []

    def test_columns_of_a_sweep_that_is_not_there_are_an_error(
        self, store: Store, writer: SweepWriter
    ) -> None:
        for ask in (
            lambda: store.columns("b", []),
            lambda: store.value_names("b"),
            lambda: store.numbered("b", [0]),
        ):
            with pytest.raises(UnknownNameError):
                ask()
