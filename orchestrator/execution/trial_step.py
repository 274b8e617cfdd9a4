"""What one slice of a worker's time yielded; it travels from worker to driver."""

from dataclasses import dataclass

from orchestrator.contracts import Outcome
from orchestrator.trials import Report


@dataclass(frozen=True, slots=True)
class Step:
    """Finished epochs, and the outcome once the job is over."""

    reports: tuple[Report, ...]
    outcome: Outcome | None = None
