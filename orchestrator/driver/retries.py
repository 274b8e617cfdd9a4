"""How often a trial may start again after its worker or node died."""

from collections import Counter
from dataclasses import replace

from orchestrator.contracts import Outcome
from orchestrator.trials import Failure, TrialState


class Retries:
    """Counts the attempts that infrastructure cost each trial, in this run and before it.

    Args:
        allowed: How often a trial may start again; beyond that it has failed.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._lost: Counter[int] = Counter()

    def observe(self, trial: int, failure: Failure | None) -> None:
        """Take an ended attempt into account; only those that infrastructure failed count."""
        if failure is not None and failure.kind.is_infrastructure:
            self._lost[trial] += 1

    def outcome(self, trial: int, failure: Failure) -> Outcome:
        """Decide how a failed attempt ends: interrupted while a retry is left, else failed."""
        if not failure.kind.is_infrastructure:
            return Outcome(TrialState.FAILED, failure=failure)
        self.observe(trial, failure)
        lost = self._lost[trial]
        if lost <= self._allowed:
            state = TrialState.INTERRUPTED
            then = f"It goes on from its checkpoint, retry {lost} of {self._allowed}."
        else:
            state = TrialState.FAILED
            then = f"That was attempt {lost} to end so, and budget.retries is {self._allowed}."
        return Outcome(state, failure=replace(failure, message=f"{failure.message} {then}"))
