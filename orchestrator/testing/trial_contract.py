"""What every store promises of trials, their attempts and their reports."""

import math
from datetime import timedelta

import pytest

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.trials import Artifact, Failure, FailureKind, Report, Trial, TrialState, Value

ODD = "größe \N{SNOWMAN} 'quoted\" %s ? {x}\n"
_FINAL = [TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED]


def finished(writer: SweepWriter, outcome: Outcome) -> Trial:
    """Store a new trial whose first attempt ended with `outcome`."""
    number = writer.add_trial({}, seed=0).number
    writer.start_attempt(number, "w")
    return writer.finish_attempt(number, 0, outcome)


class TrialContract:
    """Part of `StoreContract`; the fixture ``store`` gives an empty store."""

    @pytest.fixture
    def writer(self, store: Store) -> SweepWriter:
        """Give the writer of a new sweep ``"a"``."""
        store.create_sweep("a", {}, "f")
        return store.take("a", "first")

    def test_trials_are_numbered_from_zero_in_each_sweep(self, store: Store) -> None:
        for name in ("a", "b"):
            store.create_sweep(name, {}, "f")
            writer = store.take(name, "first")
            assert [writer.add_trial({}, seed=0).number for _ in range(3)] == [0, 1, 2]
        assert [trial.sweep for trial in store.trials("b")] == ["b", "b", "b"]

    def test_a_trial_is_remembered_as_it_was_given(
        self, store: Store, writer: SweepWriter
    ) -> None:
        attrs = {"nsga2:parents": [1, 2], "x": {"y": None, "z": 1.5}}
        made = writer.add_trial(
            {"bits": 4, ODD: ODD}, seed=2**63 - 1, replicate=2, sampler_attrs=attrs
        )
        assert made.params == {"bits": 4, ODD: ODD}
        assert (made.seed, made.replicate, made.sampler_attrs) == (2**63 - 1, 2, attrs)
        assert (made.state, made.attempts) == (TrialState.WAITING, 0)
        assert (made.values, made.failure, made.artifact, made.ended) == ({}, None, None, None)
        assert made.created is not None
        assert made.created.utcoffset() == timedelta(0)
        assert store.trial("a", 0) == made
        assert store.trials("a") == [made]

    def test_parameters_keep_their_types(self, store: Store, writer: SweepWriter) -> None:
        params: dict[str, Value] = {
            "a": True,
            "b": 1,
            "c": 1.0,
            "d": "1",
            "e": 0.1 + 0.2,
            "f": 5e-324,
            "g": 2**60,
        }
        writer.add_trial(params, seed=0)
        found = store.trial("a", 0).params
        assert [(name, type(value), value) for name, value in sorted(found.items())] == [
            (name, type(value), value) for name, value in params.items()
        ]

    def test_what_was_given_and_what_was_read_do_not_change_later(
        self, store: Store, writer: SweepWriter
    ) -> None:
        params, attrs = {"bits": 4}, {"list": [1]}
        before = writer.add_trial(params, seed=0, sampler_attrs=attrs)
        params["bits"] = 8
        attrs["list"].append(2)
        writer.start_attempt(0, "w")
        writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
        assert (before.params, before.sampler_attrs) == ({"bits": 4}, {"list": [1]})
        assert (before.state, before.values) == (TrialState.WAITING, {})
        assert store.trial("a", 0).params == {"bits": 4}

    def test_a_seed_that_no_column_holds_is_refused(self, writer: SweepWriter) -> None:
        for seed in (-1, 2**63):
            with pytest.raises(ValueError, match="seed"):
                writer.add_trial({}, seed=seed)

    def test_trials_are_filtered_by_state(self, store: Store, writer: SweepWriter) -> None:
        for number, state in enumerate(_FINAL):
            finished(writer, Outcome(state))
            assert store.trials("a", [state]) == [store.trial("a", number)]
        writer.add_trial({}, seed=0)
        assert [t.number for t in store.trials("a", _FINAL)] == [0, 1, 2]
        assert [t.number for t in store.trials("a", {TrialState.WAITING})] == [3]
        assert store.trials("a", [TrialState.RUNNING]) == []
        assert len(store.trials("a", [])) == 4

    def test_equal_trials_stay_apart(self, store: Store, writer: SweepWriter) -> None:
        for _ in range(2):
            finished(writer, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
        assert [t.number for t in store.trials("a")] == [0, 1]
        assert [t.values for t in store.trials("a")] == [{"accuracy": 0.5}] * 2

    def test_an_attempt_says_who_runs_it_since_when(
        self, store: Store, writer: SweepWriter
    ) -> None:
        writer.add_trial({}, seed=0)
        attempt = writer.start_attempt(0, ODD)
        assert (attempt.number, attempt.worker) == (0, ODD)
        assert (attempt.state, attempt.ended) == (TrialState.RUNNING, None)
        assert attempt.started.utcoffset() == timedelta(0)
        assert store.attempts("a", 0) == [attempt]
        trial = store.trial("a", 0)
        assert (trial.state, trial.attempts) == (TrialState.RUNNING, 1)

    def test_a_complete_trial_has_values_and_an_artifact(
        self, store: Store, writer: SweepWriter
    ) -> None:
        values = {"accuracy": 0.1 + 0.2, "memory_bytes": 2**53, "zero": 0.0, "tiny": 5e-324}
        artifact = Artifact("folder/größe.safetensors", 2**40, "f" * 64)
        trial = finished(writer, Outcome(TrialState.COMPLETE, values, artifact))
        assert trial == store.trial("a", 0)
        assert trial.values == values
        assert (trial.artifact, trial.failure) == (artifact, None)
        assert trial.ended is not None
        assert store.attempts("a", 0)[0].ended == trial.ended

    def test_a_failed_trial_says_why(self, store: Store, writer: SweepWriter) -> None:
        failure = Failure(FailureKind.OUT_OF_MEMORY, ODD, "Traceback ...")
        trial = finished(writer, Outcome(TrialState.FAILED, failure=failure))
        assert trial == store.trial("a", 0)
        assert (trial.state, trial.failure) == (TrialState.FAILED, failure)
        assert store.attempts("a", 0)[0].failure == failure

    def test_a_complete_trial_may_have_met_trouble(
        self, store: Store, writer: SweepWriter
    ) -> None:
        trouble = Failure(FailureKind.BAD_CHECKPOINT, ODD)
        trial = finished(writer, Outcome(TrialState.COMPLETE, {"x": 1.0}, failure=trouble))
        assert (trial.state, trial.values, trial.failure) == (
            TrialState.COMPLETE,
            {"x": 1.0},
            None,
        )
        assert store.attempts("a", 0)[0].failure == trouble

    def test_failures_are_counted_by_attempt_and_kind(
        self, store: Store, writer: SweepWriter
    ) -> None:
        assert store.failures("a") == {}
        for kind in (FailureKind.WORKER_LOST, FailureKind.ERROR, FailureKind.ERROR):
            finished(writer, Outcome(TrialState.FAILED, failure=Failure(kind, "")))
        lost = Failure(FailureKind.WORKER_LOST, "")
        finished(writer, Outcome(TrialState.INTERRUPTED, failure=lost))
        writer.start_attempt(3, "w")
        writer.finish_attempt(3, 1, Outcome(TrialState.COMPLETE))
        store.create_sweep("b", {}, "f")
        found = store.failures("a")
        assert found == {FailureKind.ERROR: 2, FailureKind.WORKER_LOST: 2}
        assert list(found) == [FailureKind.ERROR, FailureKind.WORKER_LOST]
        assert store.failures("b") == {}

    def test_a_failure_may_say_anything(self, store: Store, writer: SweepWriter) -> None:
        failure = Failure(FailureKind.ERROR, "nul \x00, surrogate \udcff", "x" * 100_000)
        finished(writer, Outcome(TrialState.FAILED, failure=failure))
        found = store.trial("a", 0).failure
        assert found is not None
        assert found.message.startswith("nul ")
        assert found.traceback == failure.traceback

    @pytest.mark.parametrize("state", _FINAL)
    def test_a_finished_trial_is_final(
        self, store: Store, writer: SweepWriter, state: TrialState
    ) -> None:
        before = finished(writer, Outcome(state, {"accuracy": 0.5}))
        with pytest.raises(ValueError, match=state.value):
            writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE, {"accuracy": 0.9}))
        with pytest.raises(ValueError, match=state.value):
            writer.start_attempt(0, "w")
        with pytest.raises(ValueError, match=state.value):
            writer.add_reports(0, 0, [Report(1, {})])
        assert writer.interrupt_running() == []
        assert store.trial("a", 0) == before
        assert store.reports("a", 0) == []

    def test_values_of_a_trial_that_is_not_complete_are_not_stored(
        self, store: Store, writer: SweepWriter
    ) -> None:
        failure = Failure(FailureKind.BAD_VALUES, "accuracy is NaN")
        finished(writer, Outcome(TrialState.FAILED, {"accuracy": math.nan}, failure=failure))
        assert store.trial("a", 0).values == {}

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_nothing_is_stored_that_is_not_finite(
        self, store: Store, writer: SweepWriter, bad: float
    ) -> None:
        with pytest.raises(ValueError, match="finite"):
            writer.add_trial({"lr": bad}, seed=0)
        assert store.trials("a") == []
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        with pytest.raises(ValueError, match="finite"):
            writer.add_reports(0, 0, [Report(1, {"loss": 1.0}), Report(2, {"loss": bad})])
        with pytest.raises(ValueError, match="finite"):
            writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE, {"a": 1.0, "b": bad}))
        assert (store.trial("a", 0).state, store.reports("a", 0)) == (TrialState.RUNNING, [])
        writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE))
        with pytest.raises(ValueError, match="finite"):
            writer.add_values(0, {"test_accuracy": bad})
        assert store.trial("a", 0).values == {}

    def test_a_running_attempt_says_where_it_runs(self, store: Store, writer: SweepWriter) -> None:
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        writer.place_attempt(0, 0, "ray 10.0.0.2:7 node ab")
        writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE))
        assert store.attempts("a", 0)[0].worker == "ray 10.0.0.2:7 node ab"
        with pytest.raises(ValueError, match="has ended"):
            writer.place_attempt(0, 0, "elsewhere")

    def test_an_attempt_ends_with_an_end(self, writer: SweepWriter) -> None:
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        for state in (TrialState.WAITING, TrialState.RUNNING):
            with pytest.raises(ValueError, match=state.value):
                writer.finish_attempt(0, 0, Outcome(state))

    def test_a_trial_runs_once_at_a_time(self, store: Store, writer: SweepWriter) -> None:
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        with pytest.raises(ValueError, match="running"):
            writer.start_attempt(0, "w")
        with pytest.raises(ValueError, match="never started"):
            writer.finish_attempt(0, 1, Outcome(TrialState.COMPLETE))
        assert len(store.attempts("a", 0)) == 1

    def test_an_interrupted_trial_is_taken_up_again(
        self, store: Store, writer: SweepWriter
    ) -> None:
        lost = Failure(FailureKind.WORKER_LOST, "node went away")
        trial = finished(writer, Outcome(TrialState.INTERRUPTED, failure=lost))
        assert (trial.state, trial.ended, trial.failure) == (TrialState.INTERRUPTED, None, None)
        assert writer.start_attempt(0, "w2").number == 1
        done = writer.finish_attempt(0, 1, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
        assert (done.attempts, done.failure) == (2, None)
        first, second = store.attempts("a", 0)
        assert (first.state, first.failure) == (TrialState.INTERRUPTED, lost)
        assert (second.state, second.worker) == (TrialState.COMPLETE, "w2")

    def test_what_runs_is_interrupted_and_nothing_else(
        self, store: Store, writer: SweepWriter
    ) -> None:
        assert writer.interrupt_running() == []
        for number in range(4):
            writer.add_trial({}, seed=0)
            if number != 2:
                writer.start_attempt(number, "w")
        writer.finish_attempt(1, 0, Outcome(TrialState.COMPLETE))
        assert writer.interrupt_running() == [0, 3]
        states = [trial.state.value for trial in store.trials("a")]
        assert states == ["interrupted", "complete", "waiting", "interrupted"]
        attempt = store.attempts("a", 3)[0]
        assert attempt.state is TrialState.INTERRUPTED
        assert attempt.ended is not None
        assert attempt.failure is not None
        assert (attempt.failure.kind, attempt.failure.traceback) == (FailureKind.INTERRUPTED, "")
        assert store.trial("a", 3).failure is None
        assert writer.interrupt_running() == []
        with pytest.raises(ValueError, match="interrupted"):
            writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE))

    def test_values_are_added_to_a_complete_trial_only(
        self, store: Store, writer: SweepWriter
    ) -> None:
        finished(writer, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
        writer.add_values(0, {"test_accuracy": 0.4})
        writer.add_values(0, {"test_accuracy": 0.3, "test_loss": 1})
        found = store.trial("a", 0).values
        assert found == {"accuracy": 0.5, "test_accuracy": 0.3, "test_loss": 1.0}
        finished(writer, Outcome(TrialState.STOPPED))
        with pytest.raises(ValueError, match="stopped"):
            writer.add_values(1, {"test_accuracy": 0.4})

    def test_a_stopped_trial_can_be_taken_up_again_and_no_other(
        self, store: Store, writer: SweepWriter
    ) -> None:
        stopped = finished(writer, Outcome(TrialState.STOPPED))
        assert stopped.ended is not None
        found = writer.resume_stopped(0)
        assert found == store.trial("a", 0)
        assert (found.state, found.ended) == (TrialState.INTERRUPTED, None)
        with pytest.raises(ValueError, match="interrupted"):
            writer.resume_stopped(0)
        assert writer.start_attempt(0, "w").number == 1
        with pytest.raises(ValueError, match="running"):
            writer.resume_stopped(0)
        done = writer.finish_attempt(0, 1, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
        assert done.values == {"accuracy": 0.5}
        assert done.ended is not None
        states = [attempt.state for attempt in store.attempts("a", 0)]
        assert states == [TrialState.STOPPED, TrialState.COMPLETE]
        with pytest.raises(ValueError, match="complete"):
            writer.resume_stopped(0)

    def test_reports_are_read_by_epoch(self, store: Store, writer: SweepWriter) -> None:
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        assert store.reports("a", 0) == []
        writer.add_reports(0, 0, [])
        writer.add_reports(0, 0, [Report(3, {"x": 3}), Report(1, {"x": 1.5, ODD: 2})])
        writer.add_reports(0, 0, [Report(2, {})])
        found = store.reports("a", 0)
        assert found == [Report(1, {"x": 1.5, ODD: 2.0}), Report(2, {}), Report(3, {"x": 3.0})]

    def test_a_report_made_again_replaces_the_first(
        self, store: Store, writer: SweepWriter
    ) -> None:
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        writer.add_reports(0, 0, [Report(1, {"x": 1.0}), Report(2, {"x": 2.0, "y": 2.0})])
        writer.interrupt_running()
        writer.start_attempt(0, "w")
        writer.add_reports(0, 1, [Report(2, {"x": 2.5})])
        assert store.reports("a", 0) == [Report(1, {"x": 1.0}), Report(2, {"x": 2.5})]
        assert store.reports_at("a", 2) == {0: {"x": 2.5}}

    def test_reports_at_an_epoch_are_those_of_this_sweep(
        self, store: Store, writer: SweepWriter
    ) -> None:
        store.create_sweep("b", {}, "f")
        other = store.take("b", "first")
        for each in (writer, other):
            for number in range(3):
                each.add_trial({}, seed=0)
                each.start_attempt(number, "w")
        for number in (2, 0):
            writer.add_reports(number, 0, [Report(1, {"x": number}), Report(2, {"x": 9.0})])
        other.add_reports(1, 0, [Report(1, {"x": 7.0})])
        assert dict(store.reports_at("a", 1)) == {0: {"x": 0.0}, 2: {"x": 2.0}}
        assert list(store.reports_at("a", 1)) == [0, 2]
        assert store.reports_at("a", 3) == {}
