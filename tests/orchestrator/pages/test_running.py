"""The time that a running sweep has left."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.pages.running import seconds_left
from orchestrator.trials import Driver, Standing, SweepRecord, SweepState, TrialState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def sweep(budget: dict[str, object], state: SweepState = SweepState.RUNNING) -> SweepRecord:
    driver = Driver("node7:12:34", since=NOON, heard=NOON, expires=after(60))
    return SweepRecord("s", {"budget": budget}, "", state, NOON, driver=driver)


TWO_ENDED = [Standing(number, TrialState.COMPLETE, after(20)) for number in (0, 1)]


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        ({"trials": 12}, 200.0),  # ten more at twenty seconds each
        ({"trials": 12, "seconds": 100}, 60.0),  # the seconds are over first
        ({"trials": 3, "seconds": 100}, 20.0),
        ({"seconds": 100}, 60.0),
        ({"seconds": 30}, 0.0),  # the last trials may take longer
        ({}, None),
    ],
)
def test_the_limit_that_is_reached_first_counts(
    budget: dict[str, object], left: float | None
) -> None:
    assert seconds_left(sweep(budget), TWO_ENDED, after(40)) == left


def test_seconds_are_told_before_a_trial_has_ended() -> None:
    assert seconds_left(sweep({"trials": 12, "seconds": 100}), [], after(40)) == 60.0
    assert seconds_left(sweep({"trials": 12}), [], after(40)) is None


def test_trials_of_an_earlier_run_say_nothing_of_the_pace_of_this_one() -> None:
    before = [Standing(number, TrialState.COMPLETE, after(-9)) for number in range(5)]
    assert seconds_left(sweep({"trials": 9}), before, after(40)) is None


def test_a_sweep_that_has_ended_has_no_time_left() -> None:
    ended = sweep({"seconds": 100}, SweepState.COMPLETE)
    assert seconds_left(ended, TWO_ENDED, after(40)) is None
