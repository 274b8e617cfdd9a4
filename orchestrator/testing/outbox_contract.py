"""What every store promises of its outbox: no change is forgotten, and each comes in its turn."""

from collections.abc import Callable

import pytest

from orchestrator.contracts import Mark, Outcome, Store, SweepWriter
from orchestrator.testing.trial_contract import finished
from orchestrator.trials import Report, SweepState, TrialState


class OutboxContract:
    """Part of `StoreContract`; the fixture ``store`` gives an empty store."""

    @pytest.fixture
    def writer(self, store: Store) -> SweepWriter:
        """Give the writer of a new sweep ``"a"``."""
        store.create_sweep("a", {}, "f")
        return store.take("a", "first")

    def test_a_new_sweep_is_to_be_mirrored(self, store: Store, writer: SweepWriter) -> None:
        assert [_subject(mark) for mark in store.outbox.pending("a")] == [("a", None, None)]
        writer.renew()
        writer.add_trial({}, seed=0)  # nothing to see before its first attempt
        assert len(store.outbox.pending("a")) == 1

    def test_marks_come_in_the_order_of_the_first_change(
        self, store: Store, writer: SweepWriter
    ) -> None:
        _forget_all(store)
        for _ in range(3):
            writer.add_trial({}, seed=0)
        for number in (2, 0, 1):
            writer.start_attempt(number, "w")
        writer.set_sweep_state(SweepState.COMPLETE)
        writer.add_reports(2, 0, [Report(1, {"x": 1.0})])
        writer.finish_attempt(1, 0, Outcome(TrialState.COMPLETE))
        assert [mark.trial for mark in store.outbox.pending("a")] == [2, 0, 1, None]
        assert [mark.trial for mark in store.outbox.pending("a", limit=2)] == [2, 0]
        assert store.outbox.pending("a", limit=0) == []

    def test_each_write_that_can_be_seen_is_marked(
        self, store: Store, writer: SweepWriter
    ) -> None:
        writer.add_trial({}, seed=0)
        seen = _marked(store, lambda: writer.start_attempt(0, "w"))
        seen += _marked(store, lambda: writer.add_reports(0, 0, [Report(1, {"x": 1.0})]))
        seen += _marked(store, writer.interrupt_running)
        assert seen == [("a", 0, 0)] * 3
        seen = _marked(store, lambda: writer.start_attempt(0, "w"))
        seen += _marked(store, lambda: writer.finish_attempt(0, 1, Outcome(TrialState.COMPLETE)))
        seen += _marked(store, lambda: writer.add_values(0, {"test_accuracy": 0.5}))
        assert seen == [("a", 0, 1)] * 3
        seen = _marked(store, lambda: writer.set_sweep_state(SweepState.COMPLETE))
        seen += _marked(store, lambda: writer.set_spec({}))
        assert seen == [("a", None, None)] * 2

    def test_a_mark_that_is_done_is_forgotten(self, store: Store, writer: SweepWriter) -> None:
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        sweep, attempt = store.outbox.pending("a")
        store.outbox.done(sweep)
        assert store.outbox.pending("a") == [attempt]
        store.outbox.done(sweep)
        store.outbox.done(attempt)
        assert store.outbox.pending("a") == []

    def test_a_change_during_mirroring_is_not_forgotten(
        self, store: Store, writer: SweepWriter
    ) -> None:
        (old,) = store.outbox.pending("a")
        writer.set_sweep_state(SweepState.COMPLETE)
        store.outbox.done(old)
        (new,) = store.outbox.pending("a")
        assert _subject(new) == _subject(old)
        assert new.revision > old.revision

    def test_a_late_mirror_does_not_forget_what_came_after_another_one(
        self, store: Store, writer: SweepWriter
    ) -> None:
        (late,) = store.outbox.pending("a")
        store.outbox.done(late)
        writer.set_sweep_state(SweepState.COMPLETE)
        store.outbox.done(late)
        assert [_subject(mark) for mark in store.outbox.pending("a")] == [("a", None, None)]

    def test_a_write_that_fails_leaves_no_mark(self, store: Store, writer: SweepWriter) -> None:
        finished(writer, Outcome(TrialState.COMPLETE))
        _forget_all(store)
        with pytest.raises(ValueError, match="complete"):
            writer.add_reports(0, 0, [Report(1, {"x": 1.0})])
        assert store.outbox.pending("a") == []

    def test_everything_can_be_marked_again(self, store: Store, writer: SweepWriter) -> None:
        assert store.outbox.mark_all("a") == 1
        finished(writer, Outcome(TrialState.INTERRUPTED))
        writer.start_attempt(0, "w")
        _forget_all(store)
        writer.add_trial({}, seed=0)
        assert store.outbox.mark_all("a") == 3
        marks = store.outbox.pending("a")
        assert [(mark.trial, mark.attempt) for mark in marks] == [(None, None), (0, 0), (0, 1)]

    def test_what_the_mirror_made_is_remembered(self, store: Store, writer: SweepWriter) -> None:
        writer.add_trial({}, seed=0)
        writer.start_attempt(0, "w")
        _forget_all(store)
        store.outbox.record_sweep_run("a", "7", "parent")
        store.outbox.record_attempt_run("a", 0, 0, "child")
        assert store.outbox.pending("a") == []  # else it would be mirrored for ever
        sweep = store.sweep("a")
        assert (sweep.mlflow_experiment_id, sweep.mlflow_run_id) == ("7", "parent")
        assert store.attempts("a", 0)[0].mlflow_run_id == "child"
        assert store.trial("a", 0).mlflow_run_id == "child"

    def test_a_trial_names_the_run_of_its_latest_attempt(
        self, store: Store, writer: SweepWriter
    ) -> None:
        finished(writer, Outcome(TrialState.INTERRUPTED))
        store.outbox.record_attempt_run("a", 0, 0, "first")
        writer.start_attempt(0, "w")
        assert store.trial("a", 0).mlflow_run_id is None
        store.outbox.record_attempt_run("a", 0, 1, "second")
        assert store.trial("a", 0).mlflow_run_id == "second"


def _subject(mark: Mark) -> tuple[str, int | None, int | None]:
    return mark.sweep, mark.trial, mark.attempt


def _forget_all(store: Store) -> None:
    for mark in store.outbox.pending("a"):
        store.outbox.done(mark)


def _marked(store: Store, write: Callable[[], object]) -> list[tuple[str, int | None, int | None]]:
    """What `write` marks in an empty outbox."""
    _forget_all(store)
    write()
    return [_subject(mark) for mark in store.outbox.pending("a")]
