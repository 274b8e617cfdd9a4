"""Replays under a real loop on a real store: what happens at which simulated moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.contracts import Decision, Job, Outcome, Store
from orchestrator.errors import OrchestratorError
from orchestrator.simulation.executor import SimulatedExecutor, VirtualClock
from orchestrator.simulation.table import Recording
from orchestrator.storage.opening import open_store
from orchestrator.trials import Params, Report, TrialState
from tests.orchestrator import driving
from tests.orchestrator.driving import Driver

store, drive = driving.store, driving.drive

EPOCHS = 3


def recorded(params: Params, seed: int, *, seconds: float = 2.0, eval_s: float = 1.0) -> Recording:
    """Half a second of start, three epochs, an evaluation."""
    reports = tuple(
        Report(
            epoch,
            {
                "seconds": seconds,
                "float_accuracy": epoch / 10,
                "milestone_accuracy": epoch / 20,
                "milestone_s": 0.25,
            },
        )
        for epoch in range(1, EPOCHS + 1)
    )
    values = {"accuracy": 0.5, "memory_bytes": float(params["fc_width_1"]), "eval_s": eval_s}
    return Recording(params, seed, {**values, "train_s": 0.5 + EPOCHS * seconds}, reports)


@dataclass
class Judge:
    """Stops the given trials at the first milestone."""

    milestones: tuple[int, ...] = (1,)
    stops: set[int] = field(default_factory=set)
    seen: list[Mapping[int, Mapping[str, float]]] = field(default_factory=list)

    def decide(self, trial: int, epoch: int, peers: Mapping[int, Mapping[str, float]]) -> Decision:
        self.seen.append(peers)
        return Decision.STOP if trial in self.stops else Decision.CONTINUE


@dataclass
class Moments:
    """The loop as its executor sees it, with the simulated moment of each event."""

    driver: Driver
    executor: SimulatedExecutor
    told: list[tuple[float, str, int]] = field(default_factory=list)

    def run(self) -> list[tuple[float, str, int]]:
        self.executor.run(self)  # type: ignore[arg-type]
        return self.told

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver.loop, name)

    def started(self, job: Job) -> None:
        self.told.append((self.executor.clock(), "started", job.trial))
        self.driver.loop.started(job)

    def ended(self, job: Job, outcome: Outcome) -> None:
        self.told.append((self.executor.clock(), outcome.state.value, job.trial))
        self.driver.loop.ended(job, outcome)


@pytest.fixture
def simulate(drive: Callable[..., Driver]) -> Callable[..., Moments]:
    def build(
        lookup: Callable[[Params, int], Recording] = recorded,
        *,
        slots: int = 1,
        share_training: bool = False,
        **changes: Any,
    ) -> Moments:
        executor = SimulatedExecutor(lookup, slots=slots, share_training=share_training)
        given = {"training": {"epochs": EPOCHS}, "execution": {"siblings": False}, **changes}
        driver = drive(clock=executor.clock, **given)
        return Moments(driver, executor)

    return build


def test_a_trial_takes_the_time_that_was_recorded(
    simulate: Callable[..., Moments], store: Store
) -> None:
    told = simulate(budget={"trials": 2}).run()
    assert told == [
        (0.0, "started", 0),
        (7.5, "complete", 0),
        (7.5, "started", 1),
        (15.0, "complete", 1),
    ]
    assert store.trial("a", 1).values["accuracy"] == 0.5
    assert [report.epoch for report in store.reports("a", 1)] == [1, 2, 3]
    assert store.attempts("a", 0)[0].state is TrialState.COMPLETE


def test_as_many_run_at_once_as_there_are_slots(simulate: Callable[..., Moments]) -> None:
    told = simulate(slots=3, budget={"trials": 4}).run()
    assert [(when, trial) for when, what, trial in told if what == "started"] == [
        (0.0, 0),
        (0.0, 1),
        (0.0, 2),
        (7.5, 3),
    ]
    assert told[-1] == (15.0, "complete", 3)


def test_a_stopped_trial_frees_its_slot_at_that_moment(
    simulate: Callable[..., Moments], store: Store
) -> None:
    moments = simulate(scheduler=Judge(stops={0, 1}), budget={"trials": 3})
    # A start of 0.5, an epoch of 2, and what is measured at the milestone.
    assert moments.run() == [
        (0.0, "started", 0),
        (2.75, "stopped", 0),
        (2.75, "started", 1),
        (5.5, "stopped", 1),
        (5.5, "started", 2),
        (13.25, "complete", 2),
    ]
    assert store.trial("a", 0).state is TrialState.STOPPED
    assert [report.epoch for report in store.reports("a", 0)] == [1]


def test_what_is_measured_at_milestones_is_told_and_paid_for_there_alone(
    simulate: Callable[..., Moments], store: Store
) -> None:
    told = simulate(scheduler=Judge((2,)), budget={"trials": 1}).run()
    assert told[-1] == (7.75, "complete", 0)
    names = [set(report.values) for report in store.reports("a", 0)]
    plain = {"seconds", "float_accuracy"}
    assert names == [plain, {*plain, "milestone_accuracy", "milestone_s"}, plain]


def test_accuracy_in_floating_point_stands_for_what_no_worker_measured(
    simulate: Callable[..., Moments], store: Store
) -> None:
    def plain(params: Params, seed: int) -> Recording:
        reports = [Report(n, {"seconds": 1.0, "float_accuracy": n / 10}) for n in (1, 2, 3)]
        return replace(recorded(params, seed), reports=tuple(reports))

    simulate(plain, scheduler=Judge((2,)), budget={"trials": 1}).run()
    values = [report.values.get("milestone_accuracy") for report in store.reports("a", 0)]
    assert values == [None, 0.2, None]


def test_a_recording_without_epochs_takes_its_time_at_once(
    simulate: Callable[..., Moments], store: Store
) -> None:
    def ends(params: Params, seed: int) -> Recording:
        return replace(recorded(params, seed), reports=())

    assert simulate(ends, budget={"trials": 1}).run()[-1] == (7.5, "complete", 0)
    assert store.reports("a", 0) == []


def test_the_wall_clock_budget_is_simulated_time(
    simulate: Callable[..., Moments], store: Store
) -> None:
    moments = simulate(slots=2, budget={"trials": 100, "seconds": 12.0})
    told = moments.run()
    # Two trials end at 7.5; of the next two an epoch ends at 10 and the second one at 12.
    assert told[-2:] == [(12.0, "interrupted", 2), (12.0, "interrupted", 3)]
    assert moments.driver.loop.stop_reason == "the wall-clock budget of 12 s is used up"
    # Both had ended their second epoch at this moment, but the event of one came first.
    assert [len(store.reports("a", trial)) for trial in (2, 3)] == [2, 1]


def test_an_interrupted_trial_keeps_its_epochs(
    simulate: Callable[..., Moments], store: Store
) -> None:
    budget = {"trials": 1, "seconds": 3.0}
    first = simulate(budget=budget).run()
    assert first[-1] == (4.5, "interrupted", 0)
    again = simulate(budget={"trials": 1}).run()
    # A start, the third epoch and the evaluation are left.
    assert again == [(0.0, "started", 0), (3.5, "complete", 0)]
    assert [report.epoch for report in store.reports("a", 0)] == [1, 2, 3]
    trial = store.trial("a", 0)
    assert (trial.attempts, trial.state) == (2, TrialState.COMPLETE)


def test_an_interruption_before_the_first_epoch_leaves_nothing(
    simulate: Callable[..., Moments], tmp_path: Path
) -> None:
    moments = simulate(slots=2, budget={"trials": 2})
    moments.driver.loop.interrupt("enough")
    assert moments.run() == []
    assert not (tmp_path / "sweeps").exists()


def test_a_trial_beyond_its_time_limit_has_failed(
    simulate: Callable[..., Moments], store: Store
) -> None:
    told = simulate(budget={"trials": 1, "trial_seconds": 4.0}).run()
    assert told[-1] == (4.5, "failed", 0)
    failure = store.trial("a", 0).failure
    assert failure is not None
    assert failure.kind.value == "time_limit"


def test_a_trial_that_shares_a_training_pays_for_the_evaluation_alone(
    simulate: Callable[..., Moments], store: Store
) -> None:
    space = {
        "fc_width_1": {"type": "choice", "values": [8]},
        "bits": {"type": "choice", "values": [2, 4, 8]},
    }
    shared = simulate(space=space, share_training=True, budget={"trials": 3}).run()
    assert [when for when, what, _ in shared if what == "complete"] == [7.5, 8.5, 9.5]
    assert [report.epoch for report in store.reports("a", 2)] == [1, 2, 3]


@pytest.mark.parametrize("alike", [{}, {"quantization": {"qat": "absmax"}}])
def test_a_trial_that_trains_otherwise_shares_nothing(
    simulate: Callable[..., Moments], alike: dict[str, Any]
) -> None:
    other = "bits" if alike else "learning_rate"
    values = [4, 8] if alike else [0.1, 0.2]
    space = {
        "fc_width_1": {"type": "choice", "values": [8]},
        other: {"type": "choice", "values": values},
    }
    told = simulate(space=space, share_training=True, budget={"trials": 2}, **alike).run()
    assert told[-1] == (15.0, "complete", 1)


def test_a_recording_of_other_epochs_is_a_sentence(simulate: Callable[..., Moments]) -> None:
    with pytest.raises(OrchestratorError, match=r"simulate with training\.epochs=3"):
        simulate(training={"epochs": 4}).run()


def test_the_clock_goes_forward_alone() -> None:
    clock = VirtualClock()
    clock.advance(2.0)
    clock.advance(2.0)
    with pytest.raises(ValueError, match=r"stands at 2.0 s and cannot go back to 1.0 s"):
        clock.advance(1.0)
    assert clock() == 2.0


@pytest.mark.slow
@settings(max_examples=4)
@given(
    times=st.lists(st.floats(0.0, 100.0), min_size=8, max_size=8),
    slots=st.integers(1, 4),
    stops=st.sets(st.integers(0, 7)),
)
def test_whatever_the_times_moments_ascend_and_slots_are_kept(
    times: list[float], slots: int, stops: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def lookup(params: Params, seed: int) -> Recording:
        return recorded(params, seed, seconds=times[int(params["fc_width_1"]) % 8], eval_s=0.5)

    runs = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("simulated")
        store = open_store(f"sqlite:///{folder / 'sweeps.db'}")
        executor = SimulatedExecutor(lookup, slots=slots)
        changes = {"budget": {"trials": 8}, "training": {"epochs": EPOCHS}}
        spec = driving.make_spec(**changes)
        driver = Driver(store, folder, spec, Judge(stops=stops), executor.clock)  # type: ignore[arg-type]
        runs.append(Moments(driver, executor).run())
        store.close()
    told = runs[0]
    assert told == runs[1], "an undisturbed run is deterministic"
    assert [when for when, _, _ in told] == sorted(when for when, _, _ in told)
    at_once = 0
    for _, what, _ in told:
        at_once += 1 if what == "started" else -1
        assert 0 <= at_once <= slots
    assert at_once == 0
    ends = {trial: what for _, what, trial in told if what != "started"}
    assert ends == {n: "stopped" if n in stops else "complete" for n in range(8)}
