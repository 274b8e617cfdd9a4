"""A sweep whose driver was killed does not look as if it were running."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.queries.liveness import as_seen
from orchestrator.trials import Driver, SweepRecord, SweepState

HEARD = datetime(2026, 1, 1, 12, tzinfo=UTC)
DRIVER = Driver("host:7:1", HEARD, HEARD, HEARD + timedelta(seconds=60))


def record(state: SweepState = SweepState.RUNNING, driver: Driver | None = DRIVER) -> SweepRecord:
    return SweepRecord("a", {}, "f", state, HEARD, driver=driver)


@pytest.mark.parametrize("seconds", [0.0, 59.9])
def test_a_driver_is_alive_until_its_lease_has_run_out(seconds: float) -> None:
    assert as_seen(record(), HEARD + timedelta(seconds=seconds)) == record()


@pytest.mark.parametrize(
    ("seconds", "said"), [(60, "1 min"), (180, "3 min"), (7200, "2 h"), (2 * 86400, "2 day")]
)
def test_after_that_it_is_dead_and_was_heard_of_some_time_ago(seconds: int, said: str) -> None:
    seen = as_seen(record(), HEARD + timedelta(seconds=seconds))
    assert seen.state is SweepState.INTERRUPTED
    assert seen.stop_reason == f"its driver, host:7:1, was last heard of {said} ago"


def test_a_driver_of_this_machine_that_is_gone_is_dead_at_once() -> None:
    seen = as_seen(record(), HEARD + timedelta(seconds=2), lambda holder: holder == "host:7:1")
    assert (seen.state, seen.stop_reason[-7:]) == (SweepState.INTERRUPTED, "2 s ago")


@pytest.mark.parametrize("state", [s for s in SweepState if s is not SweepState.RUNNING])
def test_what_has_ended_stays_as_it_ended(state: SweepState) -> None:
    assert as_seen(record(state), HEARD + timedelta(days=9)) == record(state)


def test_no_driver_is_declared_dead_that_was_never_there() -> None:
    assert as_seen(record(driver=None), HEARD + timedelta(days=9)) == record(driver=None)
