"""How many CPU and GPU hours the attempts of a sweep took, and when a budget is used up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrator.spec.run_sections import BudgetSection, ResourcesSection
from orchestrator.trials import Attempt


@dataclass(frozen=True, slots=True)
class _Limit:
    """A budget of one kind of device, in hours, and how many of them an attempt holds."""

    kind: str
    hours: float
    devices: float


class DeviceHours:
    """Adds up the time of attempts: of earlier runs as stored, of this one as it passes.

    An attempt holds what a trial is given from the moment it is stored until it ends, whatever
    became of it.

    Args:
        budget: Its limits.
        resources: What a trial is given.
        clock: Seconds; only differences count.
    """

    def __init__(
        self, budget: BudgetSection, resources: ResourcesSection, clock: Callable[[], float]
    ) -> None:
        limits = (
            ("CPU", budget.cpu_hours, resources.cpus),
            ("GPU", budget.gpu_hours, resources.as_needs().gpus),
        )
        self._limits = [_Limit(kind, hours, n) for kind, hours, n in limits if hours is not None]
        self._clock = clock
        self._seconds = 0.0
        self._began: dict[int, float] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to add up."""
        return bool(self._limits)

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Add the time of earlier runs' attempts."""
        for attempt in attempts:
            if attempt.ended is not None:
                self._seconds += (attempt.ended - attempt.started).total_seconds()

    def began(self, trial: int) -> None:
        """Start counting for an attempt that was stored."""
        self._began[trial] = self._clock()

    def ended(self, trial: int) -> None:
        """Stop counting for an attempt that is over."""
        began = self._began.pop(trial, None)
        if began is not None:
            self._seconds += self._clock() - began

    def used_up(self) -> str:
        """Return which budget is used up, as a reason to stop; empty if none is."""
        if not self._limits:
            return ""
        now = self._clock()
        hours = (self._seconds + sum(now - began for began in self._began.values())) / 3600
        for limit in self._limits:
            if hours * limit.devices >= limit.hours:
                return f"the budget of {limit.hours:g} {limit.kind} hours is used up"
        return ""
