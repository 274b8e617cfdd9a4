"""The result of one slice of a worker's time, sent from worker to driver."""

from dataclasses import dataclass

from orchestrator.contracts import Outcome
from orchestrator.execution.carried_files import CarriedFile
from orchestrator.trials import Failure, Report


@dataclass(frozen=True, slots=True)
class Step:
    """Finished epochs, the outcome once the job is over, and what went wrong without ending it.

    `trouble` is repeated with every step, so the receiver may keep any of them. `files` are those
    of a complete trial whose node does not see the driver's folder.
    """

    reports: tuple[Report, ...]
    outcome: Outcome | None = None
    trouble: Failure | None = None
    files: tuple[CarriedFile, ...] = ()
