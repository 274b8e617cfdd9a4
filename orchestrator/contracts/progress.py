"""How the loop tells a person what happens. An option is an object, not a flag."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.objectives import Objective
from orchestrator.trials import Report, SweepRecord, Trial


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do.

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
        """The run begins."""
        ...

    def note(self, text: str) -> None:
        """Something a person would like to know: Ray starts, the tracker is unreachable."""
        ...

    def trial_started(self, trial: Trial) -> None:
        """A worker took the trial."""
        ...

    def trial_reported(self, trial: int, report: Report) -> None:
        """The trial finished an epoch."""
        ...

    def trial_ended(self, trial: Trial) -> None:
        """The trial is final, or interrupted."""
        ...

    def end(self, sweep: SweepRecord) -> None:
        """The run is over, however it ended; called exactly once after `begin`."""
        ...


class Silent:
    """Says nothing."""

    def begin(self, plan: Plan) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def trial_started(self, trial: Trial) -> None:
        """Nothing."""

    def trial_reported(self, trial: int, report: Report) -> None:
        """Nothing."""

    def trial_ended(self, trial: Trial) -> None:
        """Nothing."""

    def end(self, sweep: SweepRecord) -> None:
        """Nothing."""
