"""What every view of a sweep is drawn from: its trials, each with the mark of what it became."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from orchestrator.constraints import Constraint, feasible
from orchestrator.errors import OrchestratorError
from orchestrator.objectives import Objective
from orchestrator.trials import Trial, TrialState

_MOST_DOTS = 2_000


class Mark(StrEnum):
    """What became of a trial; the value is its word in a legend."""

    OTHER = "other trial"
    INFEASIBLE = "outside a constraint"
    STOPPED = "stopped early"
    FAILED = "failed"
    FRONT = "front"


class Look(NamedTuple):
    """How a mark is drawn: no two share a symbol, so that color is never needed alone."""

    symbol: str
    color: str
    size: int
    opacity: float


# Colors of Okabe and Ito (2008), told apart with every common kind of color blindness; each has
# a contrast of 2.5 or more with white and with the dark page.
LOOKS = {
    Mark.OTHER: Look("circle", "#8792a2", 6, 0.6),
    Mark.INFEASIBLE: Look("x", "#d55e00", 7, 0.8),
    Mark.STOPPED: Look("triangle-down-open", "#aa6f9e", 7, 0.9),
    Mark.FAILED: Look("triangle-up", "#c98500", 9, 0.95),
    Mark.FRONT: Look("diamond", "#2a8fc4", 10, 1.0),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sweep as its views draw it.

    Attributes:
        name: Name of the sweep.
        trials: All trials, in any state; references are left out.
        objectives: Its objectives.
        constraints: Limits that its trials must meet.
        front: Numbers of the members of the front.
    """

    name: str
    trials: Sequence[Trial]
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    front: frozenset[int]

    def mark(self, trial: Trial) -> Mark | None:
        """Return the mark of a trial; None while it has not ended."""
        if trial.state is TrialState.STOPPED:
            return Mark.STOPPED
        if trial.state is TrialState.FAILED:
            return Mark.FAILED
        if trial.state is not TrialState.COMPLETE:
            return None
        if not feasible(self.constraints, trial.values):
            return Mark.INFEASIBLE
        return Mark.FRONT if trial.number in self.front else Mark.OTHER

    def marked(self, trials: Sequence[Trial]) -> dict[Mark, list[Trial]]:
        """Sort trials by their marks, in the order of `Mark`; those that run are left out."""
        found: dict[Mark, list[Trial]] = {mark: [] for mark in Mark}
        for trial in trials:
            if (mark := self.mark(trial)) is not None:
                found[mark].append(trial)
        return found

    def measured(self, *names: str) -> list[Trial]:
        """Return the complete trials that have a number for each name.

        Raises:
            OrchestratorError: There is none.
        """
        found = [t for t in self.complete if all(_is_number(t.values.get(n)) for n in names)]
        if not found:
            listed = ", ".join(names)
            raise OrchestratorError(f"No complete trial of {self.name!r} has a value of {listed}.")
        return found

    @property
    def complete(self) -> list[Trial]:
        """The complete trials."""
        return [trial for trial in self.trials if trial.state is TrialState.COMPLETE]

    def thinned(self, trials: Sequence[Trial], most: int = _MOST_DOTS) -> list[Trial]:
        """Return at most about so many of the trials: the front, and the others spread evenly."""
        step = len(trials) / most
        if step <= 1:
            return list(trials)
        spread = {trials[int(at * step)].number for at in range(most)}
        return [t for t in trials if t.number in spread or t.number in self.front]


def told_thinned(shown: int, total: int) -> str:
    """Say how many trials are drawn, if not all are.

    >>> told_thinned(2000, 10000)
    '2,000 of 10,000 trials are drawn, the front among them'
    """
    return (
        f"{shown:,} of {total:,} trials are drawn, the front among them" if shown < total else ""
    )


def _is_number(value: float | None) -> bool:
    return value is not None and value == value
