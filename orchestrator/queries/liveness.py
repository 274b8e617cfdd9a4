"""Whether a sweep recorded as running has a live driver: a killed driver cannot record its end."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.trials import SweepRecord, SweepState

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60))


def as_seen(
    record: SweepRecord, now: datetime, is_gone: Callable[[str], bool] = lambda holder: False
) -> SweepRecord:
    """Return the record, changed to interrupted if it says running but its driver is dead.

    Args:
        record: The stored record.
        now: The current time, with its time zone.
        is_gone: Returns whether a lease holder was a process of this machine that has ended.

    >>> from orchestrator.trials import Driver
    >>> began, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    >>> driver = Driver("node7:12:34", since=began, heard=began, expires=began)
    >>> record = SweepRecord("digits", {}, "", SweepState.RUNNING, began, driver=driver)
    >>> as_seen(record, later).state.value
    'interrupted'
    """
    driver = record.driver
    if record.state is not SweepState.RUNNING or driver is None:
        return record
    if now < driver.expires and not is_gone(driver.holder):
        return record
    heard = _ago((now - driver.heard).total_seconds())
    reason = f"its driver, {driver.holder}, was last heard of {heard}"
    return replace(record, state=SweepState.INTERRUPTED, stop_reason=reason)


def seen_now(record: SweepRecord) -> SweepRecord:
    """Return the record as seen from this machine now.

    >>> began = datetime(2026, 1, 1, tzinfo=UTC)
    >>> seen_now(SweepRecord("digits", {}, "", SweepState.COMPLETE, began)).state.value
    'complete'
    """
    # Imported here: SQLAlchemy takes half a second to import, which is wasted without a store.
    from orchestrator.storage import is_gone

    return as_seen(record, datetime.now(UTC), is_gone)


def _ago(seconds: float) -> str:
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0.0):.0f} s ago"
