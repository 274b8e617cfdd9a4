"""Whether a sweep that says it is running is being run: a driver that was killed says nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.trials import SweepRecord, SweepState

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60))


def as_seen(
    record: SweepRecord, now: datetime, is_gone: Callable[[str], bool] = lambda holder: False
) -> SweepRecord:
    """The record, but interrupted where it says running and its driver is not alive any more.

    Args:
        record: As stored.
        now: The present moment, with its zone.
        is_gone: Whether a holder was a process of this machine that no longer runs.
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
    """The record as seen from this machine at this moment."""
    # Imported here: SQLAlchemy takes half a second, which those without a store need not wait.
    from orchestrator.storage import is_gone

    return as_seen(record, datetime.now(UTC), is_gone)


def _ago(seconds: float) -> str:
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0.0):.0f} s ago"
