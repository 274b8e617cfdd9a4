"""How the loop reports its progress to the user. Each way to show it is an object, not a flag."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.objectives import Objective
from orchestrator.trials import Report, SweepRecord, Trial


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is about to do.

    Attributes:
        sweep: The sweep as stored.
        objectives: What it optimises.
        trials: Trials in the budget.
        seconds: Wall-clock budget in seconds, if any.
        epochs: Epochs of a full trial.
        past: Trials already in the store when the run began.
    """

    sweep: SweepRecord
    objectives: Sequence[Objective]
    trials: int
    seconds: float | None
    epochs: int
    past: Sequence[Trial]


class Progress(Protocol):
    """Receives events of one run, all from the driver's thread, each after it was stored."""

    def begin(self, plan: Plan) -> None:
        """Announce that the run begins."""
        ...

    def note(self, text: str) -> None:
        """Show a note to the user: Ray starts, the tracker is unreachable."""
        ...

    def trial_started(self, trial: Trial) -> None:
        """Announce that a worker started the trial."""
        ...

    def trial_reported(self, trial: int, report: Report) -> None:
        """Announce that the trial finished an epoch."""
        ...

    def trial_ended(self, trial: Trial) -> None:
        """Announce that the trial is final, or interrupted."""
        ...

    def end(self, sweep: SweepRecord) -> None:
        """Announce that the run is over, however it ended; called exactly once after `begin`."""
        ...


class Silent:
    """Reports nothing."""

    def begin(self, plan: Plan) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def trial_started(self, trial: Trial) -> None:
        """Do nothing."""

    def trial_reported(self, trial: int, report: Report) -> None:
        """Do nothing."""

    def trial_ended(self, trial: Trial) -> None:
        """Do nothing."""

    def end(self, sweep: SweepRecord) -> None:
        """Do nothing."""
