"""What every store promises. Subclass `StoreContract` or `SharedStoreContract` in a test file.

```python
class TestMyStore(SharedStoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]: ...  # an empty store
```
"""

import math
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from multiprocessing import get_context

import pytest

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.errors import (
    LeaseHeldError,
    LeaseLostError,
    SweepExistsError,
    UnknownNameError,
)
from orchestrator.testing.choices_contract import ChoicesContract
from orchestrator.testing.columns_contract import ColumnsContract
from orchestrator.testing.outbox_contract import OutboxContract
from orchestrator.testing.overviews_contract import OverviewsContract
from orchestrator.testing.trial_contract import ODD, TrialContract
from orchestrator.trials import ChoiceKind, PriorPoint, Report, SweepState, TrialState


class StoreContract(
    TrialContract, ColumnsContract, OverviewsContract, ChoicesContract, OutboxContract
):
    """Subclass this and define a fixture ``store`` that gives an empty store."""

    def test_a_new_store_is_empty(self, store: Store) -> None:
        assert store.sweeps() == []

    def test_a_sweep_is_remembered_as_it_was_given(self, store: Store) -> None:
        spec = {"space": {"bits": [2, 4]}, "odd": ODD, "none": None, "nested": [{"x": 1.5}]}
        made = store.create_sweep("a", spec, "f1")
        assert (made.name, made.spec, made.fingerprint) == ("a", spec, "f1")
        assert (made.state, made.ended, made.stop_reason) == (SweepState.RUNNING, None, "")
        assert made.created.utcoffset() == timedelta(0)
        assert store.sweep("a") == made

    def test_sweeps_are_listed_oldest_first(self, store: Store) -> None:
        for name in ("b", "a", "c"):
            store.create_sweep(name, {}, "f")
        assert [sweep.name for sweep in store.sweeps()] == ["b", "a", "c"]

    def test_creating_a_sweep_again_changes_nothing(self, store: Store) -> None:
        first = store.create_sweep("a", {"trials": 8}, "f")
        assert store.create_sweep("a", {"trials": 16}, "f") == first
        assert store.sweeps() == [first]

    def test_a_name_taken_by_another_spec_is_refused(self, store: Store) -> None:
        first = store.create_sweep("a", {"space": {"bits": 4}}, "f1")
        with pytest.raises(SweepExistsError, match=r"space\.bits was 4, is 8"):
            store.create_sweep("a", {"space": {"bits": 8}}, "f2")
        assert store.sweeps() == [first]

    def test_a_sweep_says_where_it_stands(self, store: Store, writer: SweepWriter) -> None:
        writer.set_sweep_state(SweepState.COMPLETE, ODD)
        done = store.sweep("a")
        assert (done.state, done.stop_reason) == (SweepState.COMPLETE, ODD)
        assert done.ended is not None
        assert done.ended >= done.created
        writer.set_sweep_state(SweepState.RUNNING)
        again = store.sweep("a")
        assert (again.state, again.stop_reason, again.ended) == (SweepState.RUNNING, "", None)

    def test_a_spec_can_be_replaced(self, store: Store, writer: SweepWriter) -> None:
        writer.set_spec({"trials": 16})
        assert store.sweep("a").spec == {"trials": 16}

    def test_what_is_learned_from_is_known_by_its_content(
        self, store: Store, writer: SweepWriter
    ) -> None:
        assert store.sweep("a").content == {}
        writer.set_content({"data": "d" * 64, "places": {"data.npz": f"../{ODD}"}})
        assert store.sweep("a").content == {"data": "d" * 64, "places": {"data.npz": f"../{ODD}"}}

    def test_trials_are_counted_by_state(self, store: Store, writer: SweepWriter) -> None:
        assert dict(store.count_states("a")) == {}
        for number in range(5):
            writer.add_trial({}, seed=number)
        for number in (1, 3):
            writer.start_attempt(number, "w")
        assert dict(store.count_states("a")) == {TrialState.WAITING: 3, TrialState.RUNNING: 2}

    def test_a_deleted_sweep_leaves_nothing_and_its_name_is_free(
        self, store: Store, writer: SweepWriter
    ) -> None:
        store.create_sweep("b", {}, "f")
        other = store.take("b", "w")
        for each, values in ((writer, {"x": 1.0}), (other, {"x": 2.0})):
            trial = each.add_trial({"bits": 4}, seed=0).number
            each.start_attempt(trial, "w")
            each.add_reports(trial, 0, [Report(1, values)])
            each.finish_attempt(trial, 0, Outcome(TrialState.COMPLETE, values))
            each.add_prior_points([PriorPoint({"bits": 2}, values)])
            each.set_sweep_state(SweepState.COMPLETE)
        store.choose("a", 0, ChoiceKind.PICKED)
        left = (
            store.sweep("b"),
            store.trials("b"),
            store.reports("b", 0),
            store.prior_points("b"),
        )
        writer.delete_sweep()
        assert [sweep.name for sweep in store.sweeps()] == ["b"]
        again = (
            store.sweep("b"),
            store.trials("b"),
            store.reports("b", 0),
            store.prior_points("b"),
        )
        assert again == left
        # A driver that still writes to it is refused, and the name can be used again.
        with pytest.raises(LeaseLostError, match="deleted"):
            writer.add_trial({}, seed=0)
        store.create_sweep("a", {}, "another")
        assert store.trials("a") == []
        assert store.prior_points("a") == []
        store.take("a", "first")
        with pytest.raises(LeaseLostError):
            writer.add_trial({}, seed=0)

    def test_a_sweep_can_be_renamed(self, store: Store, writer: SweepWriter) -> None:
        store.create_sweep("b", {}, "f")
        store.outbox.record_sweep_run("a", "1", "run")
        writer.add_trial({}, seed=0)
        with pytest.raises(SweepExistsError):
            writer.rename("b")
        assert store.sweep("a").mlflow_run_id == "run"
        writer.rename("c", forget_runs=True)
        writer.release()
        assert [sweep.name for sweep in store.sweeps()] == ["c", "b"]
        assert (store.sweep("c").spec["name"], store.sweep("c").mlflow_run_id) == ("c", None)
        assert [trial.sweep for trial in store.trials("c")] == ["c"]
        assert store.take("c", "next").add_trial({}, seed=0).number == 1

    def test_prior_points_are_remembered_as_they_were_given_and_never_replaced(
        self, store: Store, writer: SweepWriter
    ) -> None:
        assert store.prior_points("a") == []
        values = {"accuracy": 0.1 + 0.2, "memory_bytes": 1e300}
        points = [
            PriorPoint({"width": n, "lr": 0.1, "bias": True, "odd": ODD}, values, ODD)
            for n in range(12)
        ]
        writer.add_prior_points(points)
        assert store.prior_points("a") == points
        assert isinstance(store.prior_points("a")[0].params["bias"], bool)
        with pytest.raises(ValueError, match="already"):
            writer.add_prior_points(points[:1])
        assert store.prior_points("a") == points
        assert store.trials("a") == []

    def test_a_prior_point_that_is_not_finite_is_refused_with_all_others(
        self, store: Store, writer: SweepWriter
    ) -> None:
        points = [PriorPoint({}, {"accuracy": 0.5}), PriorPoint({}, {"accuracy": math.nan})]
        with pytest.raises(ValueError, match="not all finite"):
            writer.add_prior_points(points)
        assert store.prior_points("a") == []

    def test_unknown_names_are_said_to_be_unknown(self, store: Store, writer: SweepWriter) -> None:
        with pytest.raises(UnknownNameError, match="Known: a"):
            store.sweep("aa")
        with pytest.raises(UnknownNameError, match="none yet"):
            store.trial("a", 0)
        writer.add_trial({}, seed=0)
        for number in (1, -1, 2**31, 10**30):
            with pytest.raises(UnknownNameError, match="Known: 0 to 0"):
                store.trial("a", number)
        outbox = (store.outbox.pending, store.outbox.mark_all)
        for ask in (store.trials, store.failures, store.prior_points, *outbox):
            with pytest.raises(UnknownNameError):
                ask("b")
        for ask_trial in (store.attempts, store.reports):
            with pytest.raises(UnknownNameError):
                ask_trial("a", 7)
        with pytest.raises(UnknownNameError):
            store.take("b", "first")
        with pytest.raises(UnknownNameError):
            writer.start_attempt(7, "w")
        with pytest.raises(UnknownNameError):
            store.outbox.record_attempt_run("a", 0, 0, "run")

    def test_a_sweep_has_one_driver(self, store: Store, writer: SweepWriter) -> None:
        writer.renew()
        with pytest.raises(LeaseHeldError, match=r"'a' .* by first since \d{4}-"):
            store.take("a", "second")
        # A driver is a run, not a process: two in one process would also disturb each other.
        with pytest.raises(LeaseHeldError):
            store.take("a", "first")

    def test_a_sweep_says_who_drives_it_and_when_it_was_last_heard_of(self, store: Store) -> None:
        assert store.create_sweep("a", {}, "f").driver is None
        writer = store.take("a", "first", lease_s=30.0)
        taken = store.sweep("a").driver
        assert taken is not None
        assert (taken.holder, taken.heard) == ("first", taken.since)
        assert taken.expires - taken.heard == timedelta(seconds=30)
        writer.renew()
        later = store.sweeps()[0].driver
        assert later is not None
        assert (later.since, later.heard > taken.heard) == (taken.since, True)
        assert later.expires - later.heard == timedelta(seconds=30)
        writer.release()
        assert store.sweep("a").driver is None

    def test_a_driver_hears_that_it_is_asked_to_stop_and_its_successor_does_not(
        self, store: Store, writer: SweepWriter
    ) -> None:
        assert writer.renew() == ""
        asked = store.ask_to_stop("a", ODD)
        assert asked is not None
        assert asked.holder == "first"
        assert writer.renew() == ODD
        writer.release()
        assert store.ask_to_stop("a", ODD) is None
        assert store.take("a", "second").renew() == ""
        with pytest.raises(UnknownNameError):
            store.ask_to_stop("b", ODD)

    def test_sweeps_have_leases_of_their_own(self, store: Store, writer: SweepWriter) -> None:
        store.create_sweep("b", {}, "f")
        other = store.take("b", "second")
        other.add_trial({}, seed=0)
        writer.renew()
        assert (len(store.trials("a")), len(store.trials("b"))) == (0, 1)

    def test_a_sweep_that_was_given_back_can_be_taken(
        self, store: Store, writer: SweepWriter
    ) -> None:
        writer.release()
        with pytest.raises(LeaseLostError, match="given back"):
            writer.add_trial({}, seed=0)
        second = store.take("a", "second")
        second.add_trial({}, seed=0)
        writer.release()  # of a lease that is lost already: takes nothing from the second
        second.add_trial({}, seed=0)
        assert len(store.trials("a")) == 2

    def test_a_lease_that_ran_out_can_be_taken_but_writes_on_until_then(
        self, store: Store
    ) -> None:
        store.create_sweep("a", {}, "f")
        first = store.take("a", "first", lease_s=0.0)
        first.add_trial({}, seed=0)
        store.take("a", "second").add_trial({}, seed=0)
        with pytest.raises(LeaseHeldError, match="second"):
            store.take("a", "third")
        assert len(store.trials("a")) == 2

    def test_a_write_renews_the_lease(self, store: Store) -> None:
        store.create_sweep("a", {}, "f")
        writer = store.take("a", "first", lease_s=0.5)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            writer.add_trial({}, seed=0)
            with pytest.raises(LeaseHeldError):
                store.take("a", "second")

    def test_a_driver_that_was_replaced_can_write_nothing(self, store: Store) -> None:
        store.create_sweep("a", {"x": 1}, "f")
        stalled = store.take("a", "first", lease_s=0.0)
        for _ in range(2):
            stalled.add_trial({}, seed=0)
        stalled.start_attempt(0, "w")
        store.take("a", "second")
        before = _everything(store)
        for call in _every_write(stalled):
            with pytest.raises(LeaseLostError, match="second"):
                call()
        stalled.release()
        assert _everything(store) == before

    def test_threads_of_one_driver_number_their_trials_without_gaps(
        self, store: Store, writer: SweepWriter
    ) -> None:
        barrier = threading.Barrier(16)

        def add_three(thread: int) -> list[int]:
            barrier.wait()
            return [writer.add_trial({"thread": thread}, seed=0).number for _ in range(3)]

        with ThreadPoolExecutor(16) as pool:
            added = [number for each in pool.map(add_three, range(16)) for number in each]
        assert sorted(added) == list(range(48))
        assert [trial.number for trial in store.trials("a")] == list(range(48))


class SharedStoreContract(StoreContract):
    """Further promises of a store that several processes share."""

    def test_survives_pickling(self, store: Store, writer: SweepWriter) -> None:
        copy: Store = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
        assert copy.url == store.url
        writer.add_trial({"bits": 4}, seed=0)
        assert copy.trials("a") == store.trials("a")
        with pytest.raises(LeaseHeldError):
            copy.take("a", "second")
        copy.close()

    def test_a_store_that_was_closed_can_be_used_again(
        self, store: Store, writer: SweepWriter
    ) -> None:
        store.close()
        trial = writer.add_trial({}, seed=0)
        store.close()
        assert store.trials("a") == [trial]

    @pytest.mark.slow
    def test_processes_that_take_turns_number_their_trials_without_gaps(
        self, store: Store
    ) -> None:
        store.create_sweep("a", {}, "f")
        with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
            added = list(pool.map(_add_in_turns, [store] * 3, range(3)))
        numbers = [number for each in added for number in each]
        assert sorted(numbers) == list(range(18))
        found = {trial.number: trial.params["process"] for trial in store.trials("a")}
        assert found == {number: process for process, each in enumerate(added) for number in each}

    def test_a_sweep_created_by_several_at_once_is_one(self, store: Store) -> None:
        barrier = threading.Barrier(8)

        def create(store: Store) -> str:
            barrier.wait()
            name = store.create_sweep("a", {}, "f").name
            store.close()
            return name

        copies = [pickle.loads(pickle.dumps(store)) for _ in range(8)]  # noqa: S301
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(create, copies)) == ["a"] * 8
        assert len(store.sweeps()) == 1
        assert len(store.outbox.pending("a")) == 1


def _add_in_turns(store: Store, process: int) -> list[int]:
    """Numbers of six trials that this process adds, two each time that it gets the lease."""
    numbers: list[int] = []
    while len(numbers) < 6:
        try:
            writer = store.take("a", f"process {process}")
        except LeaseHeldError:
            time.sleep(0.01)
            continue
        numbers += [writer.add_trial({"process": process}, seed=0).number for _ in range(2)]
        writer.release()
    store.close()
    return numbers


def _every_write(writer: SweepWriter) -> list[Callable[[], object]]:
    return [
        lambda: writer.add_trial({}, seed=0),
        lambda: writer.start_attempt(1, "w"),
        lambda: writer.add_reports(0, 0, [Report(1, {"x": 1.0})]),
        lambda: writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE)),
        lambda: writer.add_values(0, {"test_accuracy": 0.5}),
        lambda: writer.add_prior_points([PriorPoint({}, {})]),
        writer.interrupt_running,
        lambda: writer.set_sweep_state(SweepState.COMPLETE),
        lambda: writer.set_spec({}),
        lambda: writer.set_content({}),
        writer.renew,
    ]


def _everything(store: Store) -> list[object]:
    numbers = [trial.number for trial in store.trials("a")]
    return [
        store.sweep("a"),
        store.trials("a"),
        store.prior_points("a"),
        [store.attempts("a", number) for number in numbers],
        [store.reports("a", number) for number in numbers],
        store.outbox.pending("a"),
    ]
