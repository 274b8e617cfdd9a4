"""Each limit of a sweep is stated as a sentence once it is reached, and not before."""

from pathlib import Path
from typing import Any

from orchestrator.driver.budget import Budget
from orchestrator.trials import Trial, TrialState
from tests.orchestrator.driving import Clock, make_spec


def budget_of(folder: Path, clock: Clock, **limits: Any) -> Budget:
    return Budget(make_spec(budget={"trials": 3, **limits}), folder, clock)


def done(number: int, accuracy: float = 0.5) -> Trial:
    values = {"accuracy": accuracy, "memory_bytes": 1000.0}
    return Trial("a", number, {}, seed=0, state=TrialState.COMPLETE, values=values)


def test_stored_trials_count_once_however_often_they_are_observed(tmp_path: Path) -> None:
    budget = budget_of(tmp_path, Clock())
    for trial in (done(0), done(1), done(1)):
        budget.observe(trial)
    assert (budget.trials_left, budget.over_trials()) == (1, "")
    budget.observe(done(2))
    assert budget.over_trials() == "the budget of 3 trials is used up"


def test_trials_of_earlier_runs_count(tmp_path: Path) -> None:
    budget = budget_of(tmp_path, Clock())
    budget.take_up([done(0), done(1)], lambda _: ())
    assert budget.trials_left == 1


def test_the_wall_clock_counts_from_the_start_of_this_run_and_stays_over(tmp_path: Path) -> None:
    clock = Clock()
    clock.now += 100
    budget = budget_of(tmp_path, clock, seconds=10)
    clock.now += 9.9
    assert budget.over_time() == ""
    clock.now += 0.1
    assert budget.over_time() == "the wall-clock budget of 10 s is used up"
    clock.now -= 5
    assert budget.over_time() != ""


def test_what_may_go_is_removed_before_the_disk_counts_as_full(tmp_path: Path) -> None:
    budget = budget_of(tmp_path, Clock(), disk="1kB")
    leftover = tmp_path / "checkpoint"
    leftover.write_bytes(bytes(1500))
    assert budget.over_disk(leftover.unlink) == ""
    leftover.write_bytes(bytes(1500))
    assert budget.over_disk(lambda: None) == "the disk budget of 1,000 bytes is used up (1,500)"
    leftover.unlink()
    assert budget.over_disk(lambda: None) != "", "a limit that was reached stays so"


def test_a_plateau_ends_the_search_for_new_trials_but_interrupts_nothing(tmp_path: Path) -> None:
    budget = budget_of(tmp_path, Clock(), trials=9, plateau=2)
    for number in range(3):
        budget.observe(done(number))
    assert budget.over_trials() == "2 trials in a row did not change the front"
    assert budget.over_time() == ""
