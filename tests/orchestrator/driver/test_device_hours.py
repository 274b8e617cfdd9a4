"""Hours of devices: what earlier runs took, and what runs now."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from orchestrator.contracts import Outcome, Store
from orchestrator.driver.device_hours import DeviceHours
from orchestrator.spec.run_sections import BudgetSection, ResourcesSection
from orchestrator.trials import Attempt, Failure, FailureKind, TrialState
from tests.orchestrator import driving
from tests.orchestrator.driving import Clock, Driver, complete, make_spec

store, drive = driving.store, driving.drive
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def attempt(hours: float | None) -> Attempt:
    ended = None if hours is None else NOW + timedelta(hours=hours)
    return Attempt(0, TrialState.FAILED, "here", NOW, ended)


def test_devices_of_earlier_attempts_and_of_those_that_run_are_added_up() -> None:
    clock = Clock()
    resources = ResourcesSection(cpus=4, gpus=0.5)
    hours = DeviceHours(BudgetSection(gpu_hours=2), resources, clock)
    hours.add([attempt(0.75), attempt(0.25), attempt(None)])
    hours.began(3)
    clock.now += 3600
    hours.began(4)
    clock.now += 3599
    assert hours.used_up() == ""
    clock.now += 1801
    hours.ended(3)
    assert hours.used_up() == "the budget of 2 GPU hours is used up"


def test_cpus_are_counted_by_themselves() -> None:
    hours = DeviceHours(BudgetSection(cpu_hours=4), ResourcesSection(cpus=4), Clock())
    hours.add([attempt(0.99)])
    assert hours.used_up() == ""
    hours.add([attempt(0.01)])
    assert hours.used_up() == "the budget of 4 CPU hours is used up"


def test_without_a_budget_nothing_is_used_up() -> None:
    hours = DeviceHours(BudgetSection(), ResourcesSection(), Clock())
    hours.add([attempt(1e6)])
    assert not hours.is_limited
    assert hours.used_up() == ""


def test_an_attempt_that_ends_twice_counts_once() -> None:
    clock = Clock()
    hours = DeviceHours(BudgetSection(cpu_hours=1), ResourcesSection(), clock)
    hours.began(0)
    clock.now += 1900
    hours.ended(0)
    hours.ended(0)
    clock.now += 1900
    assert hours.used_up() == ""


def test_a_budget_of_hours_interrupts_what_runs(drive: Callable[..., Driver]) -> None:
    clock = Clock()
    driver = drive(clock=clock, budget={"trials": 9, "cpu_hours": 1})
    job = driver.start()
    assert job is not None
    clock.now += 3599
    assert not driver.loop.must_stop
    clock.now += 1
    assert driver.loop.must_stop
    assert driver.start() is None
    driver.loop.ended(job, Outcome(TrialState.INTERRUPTED))
    assert driver.loop.stop_reason == "the budget of 1 CPU hours is used up"


def test_hours_of_failed_attempts_count_too(drive: Callable[..., Driver]) -> None:
    clock = Clock()
    driver = drive(clock=clock, budget={"trials": 9, "cpu_hours": 1})

    def fails(_: object) -> Outcome:
        clock.now += 1800
        return Outcome(TrialState.FAILED, failure=Failure(FailureKind.ERROR, "It failed."))

    assert len(driver.run(fails)) == 2


def test_hours_of_earlier_runs_count(drive: Callable[..., Driver], store: Store) -> None:
    driver = drive()
    driver.run()
    stored = [each for n in range(4) for each in store.attempts("a", n)]
    passed = sum((each.ended - each.started).total_seconds() for each in stored if each.ended)
    assert passed > 0
    again = drive(budget={"trials": 9, "cpu_hours": passed / 3600})
    assert again.start() is None
    assert again.loop.stop_reason.endswith("CPU hours is used up")
    more = drive(budget={"trials": 5, "cpu_hours": passed / 3600 + 1})
    assert len(more.run(lambda _: complete())) == 1


def test_gpu_hours_need_gpus() -> None:
    with pytest.raises(ValidationError, match=r"a trial has no GPU.* set resources.gpus"):
        make_spec(budget={"gpu_hours": 3})
    assert make_spec(budget={"gpu_hours": 3}, resources={"gpus": 1}).budget.gpu_hours == 3


def test_budgets_are_no_part_of_what_a_sweep_is() -> None:
    plain = make_spec().fingerprint()
    budget = {"cpu_hours": 1, "plateau": {"trials": 5, "growth": 0.01}}
    assert make_spec(budget=budget).fingerprint() == plain


@pytest.mark.parametrize(
    "plateau", [0, True, 2.5, "many", {}, {"trials": 3, "growth": 0}, {"trials": 3, "more": 1}]
)
def test_a_plateau_without_a_meaning_is_refused(plateau: object) -> None:
    with pytest.raises(ValidationError, match="plateau"):
        make_spec(budget={"plateau": plateau})


def test_a_lone_number_is_a_plateau_of_trials() -> None:
    budget = make_spec(budget={"plateau": 7}).budget
    assert budget == make_spec(budget={"plateau": {"trials": 7}}).budget
